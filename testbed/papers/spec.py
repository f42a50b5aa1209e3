"""The contents of ``published.yaml``, as types."""

from __future__ import annotations

import enum
from typing import Annotated, Final, Literal

import msgspec

from testbed.analysis.claims import Quantity
from testbed.errors import InputError
from testbed.results.model import Scalar

ClaimName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
_NEEDS: Final = {"bars": (), "cdf": (), "lines": ("x",), "heatmap": ("x", "y")}


class Side(enum.StrEnum):
    """The side of the stacks that a number describes."""

    KERNEL = "kernel"
    OURS = "ours"


class Read(enum.StrEnum):
    """The certainty of a number."""

    LITERALLY = "literally"  # read in the publication itself
    SECONDARY = "secondary"  # read in other publications about it; its text was not available


class ClaimSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim of a publication.

    The ``expect`` blocks of experiments that name the claim contain the expectations.

    :param says: the claim in a sentence in our own words.
    :param where: the section, figure or table of the publication.
    :param cannot: why the claim cannot be judged here, for a side without an expectation.
    :param because: a verifiable reason why the claim was not reproduced, by side.
    """

    says: Text
    where: Text
    read: Read = Read.LITERALLY
    cannot: dict[Side, Text] = {}
    because: dict[Side, Text] = {}


Base = str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None


def bases(relative_to: Base) -> tuple[str, ...]:
    """Return the possible reference stacks of a ratio; empty if the value is no ratio."""
    return (relative_to,) if isinstance(relative_to, str) else relative_to or ()


class ValueSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published number.

    :param claim: the claim that it belongs to.
    :param label: the name of the number, in the words of the publication.
    :param metric: the metric whose unit ``value`` has: ``1.66mbit``, ``68ms`` or a bare number.
    :param where: the table or figure of the publication.
    :param experiment: the file, without ``.yaml``, whose measured numbers are compared.
    :param stacks: the stacks to compare; empty if no stack is comparable.
    :param parameters: the values of the matrix that identify the cell.
    :param relative_to: the reference stack if the value is a ratio; in a list the stack of the same
        side.
    """

    claim: ClaimName
    label: Text
    metric: Text
    value: Quantity
    where: Text
    read: Read
    experiment: str | None = None
    stacks: tuple[str, ...] = ()
    parameters: dict[str, Scalar] = {}
    relative_to: Base = None

    @property
    def bases(self) -> tuple[str, ...]:
        """The possible reference stacks of a ratio; empty if the value is no ratio."""
        return bases(self.relative_to)

    def __post_init__(self) -> None:
        if self.stacks and self.experiment is None:
            raise InputError("'stacks' needs the 'experiment' of the stacks", path="experiment")
        if self.relative_to is not None and isinstance(self.value, str):
            raise InputError(f"{self.value!r} is not a number", path="value", hint="write 1.12")


class PointSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published point of a distribution: ``share`` of the values are at most ``value``.

    :param label: a short description.
    :param value: the value in the metric's unit, or a ratio.
    :param where: the section or figure of the publication.
    """

    label: Text
    value: float
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    where: Text
    read: Read


class FigureSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure, in the form of the publication.

    :param form: ``bars``: a bar for each stack, in groups by ``x``; ``cdf``: a distribution over
        the cells; ``lines``: lines over the numbers of ``x``; ``heatmap``: a map over ``x`` and
        ``y``.
    :param metric: the metric to draw; published values of this metric and experiment are marked.
    :param relative_to: the reference stack of ratios, as for a published value.
    :param benefit_over: the reference stack of the experimental aggregation benefit of goodputs
        (Paasch, Ferlin, Alay and Bonaventure, CoNEXT 2013); in a list the stack of the same side.
        It has one goodput for each value of the parameter ``paths``.
    :param x: a parameter of the matrix; ``y`` too. ``x_label`` and ``y_label`` replace their names.
    :param where: the parameters of the cells to draw.
    :param stacks: the stacks to draw; all if empty.
    :param logarithmic: whether the axis of a ``cdf`` is logarithmic.
    :param points: the published points of a ``cdf``.
    """

    title: Text
    form: Literal["bars", "cdf", "lines", "heatmap"]
    experiment: str
    metric: Text
    x: str | None = None
    y: str | None = None
    where: dict[str, Scalar] = {}
    stacks: tuple[str, ...] = ()
    relative_to: Base = None
    benefit_over: Base = None
    paths: str | None = None
    x_label: str | None = None
    y_label: str | None = None
    logarithmic: bool = False
    points: tuple[PointSpec, ...] = ()

    @property
    def bases(self) -> tuple[str, ...]:
        """The reference stacks; empty if the figure shows the metric itself."""
        return bases(self.relative_to or self.benefit_over)

    @property
    def shown(self) -> str:
        """A description of the drawn quantity."""
        if self.benefit_over:
            return "experimental aggregation benefit"
        return " relative to ".join(filter(None, (self.metric, " or ".join(self.bases))))

    @property
    def across(self) -> str:
        """A description of the horizontal axis."""
        return self.x_label or self.x or ""

    def __post_init__(self) -> None:
        for name in _NEEDS[self.form]:
            if getattr(self, name) is None:
                raise InputError(f"a figure of form {self.form!r} needs {name!r}", path=name)
        if self.form != "cdf":
            for name in ("logarithmic", "points"):
                if getattr(self, name):
                    raise InputError(
                        f"a figure of form {self.form!r} cannot have {name!r}", path=name
                    )
        if (self.benefit_over is None) != (self.paths is None):
            raise InputError("'benefit_over' and 'paths' need each other", path="paths")
        if self.benefit_over and self.relative_to:
            raise InputError("'relative_to' cannot be used with 'benefit_over'", path="relative_to")


class PublishedSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A publication.

    :param link: the URL of the publication.
    :param claims: the claims; ``--quick`` tries the first one.
    :param experiments: further experiment files outside of the folder, relative to it.
    :param sample: the maximum number of cases of an experiment, chosen by its seed, without
        ``--full``; ``quick`` is the number for ``--quick``.
    """

    title: Text
    authors: Text
    venue: Text
    link: Annotated[str, msgspec.Meta(pattern=r"^https?://")]
    claims: Annotated[dict[ClaimName, ClaimSpec], msgspec.Meta(min_length=1)]
    values: tuple[ValueSpec, ...] = ()
    figures: tuple[FigureSpec, ...] = ()
    experiments: tuple[str, ...] = ()
    sample: Annotated[int, msgspec.Meta(ge=1)] | None = None
    quick: Annotated[int, msgspec.Meta(ge=1)] | None = None
