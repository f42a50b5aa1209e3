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
    """Whose stacks a number is of."""

    KERNEL = "kernel"
    OURS = "ours"


class Read(enum.StrEnum):
    """How sure a number is."""

    LITERALLY = "literally"  # in the publication itself
    SECONDARY = "secondary"  # in what others say of it; the text itself was not at hand


class ClaimSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim of a publication.

    The experiments' ``expect`` blocks that name it say what must be measured.

    :param says: the claim, in a sentence of our own.
    :param where: the section, figure or table.
    :param cannot: why it cannot be judged here, for a side that no expectation is about.
    :param because: why it was not reproduced, where it was not, in words that can be checked.
    """

    says: Text
    where: Text
    read: Read = Read.LITERALLY
    cannot: dict[Side, Text] = {}
    because: dict[Side, Text] = {}


Base = str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None


def bases(relative_to: Base) -> tuple[str, ...]:
    """Return the stacks to one of which something is relative; nothing if it is no ratio."""
    return (relative_to,) if isinstance(relative_to, str) else relative_to or ()


class ValueSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published number.

    :param claim: the claim that it belongs to.
    :param label: what it is of, in the words of the publication.
    :param metric: in whose unit ``value`` is: ``1.66mbit``, ``68ms`` or a bare number.
    :param where: the table or figure.
    :param experiment: the file, without ``.yaml``, whose numbers stand beside it.
    :param stacks: the stacks whose numbers these are; none if nothing here can be compared.
    :param parameters: the values of the matrix that tell which cell it is.
    :param relative_to: the value is a ratio, of ``stacks`` to this stack; of several to that of
        the same side.
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
        """The reference of a ratio; empty if it is none."""
        return bases(self.relative_to)

    def __post_init__(self) -> None:
        if self.stacks and self.experiment is None:
            raise InputError("'stacks' are of an experiment: which?", path="experiment")
        if self.relative_to is not None and isinstance(self.value, str):
            raise InputError(f"{self.value!r} is not a number", path="value", hint="write 1.12")


class PointSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published point of a distribution: so large a share is at most so much.

    :param label: what it says, in a few words.
    :param value: in the metric's unit, or a ratio.
    :param where: the section or figure.
    """

    label: Text
    value: float
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    where: Text
    read: Read


class FigureSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure, in the form in which the publication has it.

    :param form: ``bars``: a bar for each stack, in groups by ``x``; ``cdf``: distribution over
        the cells; ``lines``: over the numbers of ``x``; ``heatmap``: over ``x`` and ``y``.
    :param metric: what is drawn; published values of this metric and experiment are marked.
    :param relative_to: draw ratios, as of a published value.
    :param benefit_over: draw the experimental aggregation benefit of goodputs: over those of this
        stack, of several that of the same side, which has one for each value of the parameter
        ``paths`` (Paasch, Ferlin, Alay and Bonaventure, CoNEXT 2013).
    :param x: a parameter of the matrix; ``y`` likewise. ``x_label`` and ``y_label`` are written
        instead of their names.
    :param where: only cells with these parameters.
    :param stacks: only these.
    :param logarithmic: the axis of a ``cdf``.
    :param points: of a ``cdf``, as published.
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
        """What it is relative to; nothing if it shows the metric itself."""
        return bases(self.relative_to or self.benefit_over)

    @property
    def shown(self) -> str:
        """What is drawn, in words."""
        if self.benefit_over:
            return "experimental aggregation benefit"
        return " relative to ".join(filter(None, (self.metric, " or ".join(self.bases))))

    @property
    def across(self) -> str:
        """What the horizontal axis is, in words."""
        return self.x_label or self.x or ""

    def __post_init__(self) -> None:
        for name in _NEEDS[self.form]:
            if getattr(self, name) is None:
                raise InputError(f"a figure of form {self.form!r} has {name!r}", path=name)
        if self.form != "cdf":
            for name in ("logarithmic", "points"):
                if getattr(self, name):
                    raise InputError(f"a figure of form {self.form!r} has no {name!r}", path=name)
        if (self.benefit_over is None) != (self.paths is None):
            raise InputError("'benefit_over' and 'paths' go together", path="paths")
        if self.benefit_over and self.relative_to:
            raise InputError("it is a ratio or a benefit", path="relative_to")


class PublishedSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A publication.

    :param link: where it can be read.
    :param claims: the first one is what ``--quick`` tries.
    :param experiments: files that belong to it and lie elsewhere, relative to the folder.
    :param sample: how many cases, chosen by the seed of the experiment, are run of more, unless all
        are asked for; ``quick``: how many for ``--quick``.
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
