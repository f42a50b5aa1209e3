"""Claims about results in an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from testbed.analysis.instance import Instance, parse
from testbed.analysis.registry import NONE, metric_of
from testbed.errors import InputError
from testbed.metric import Metric
from testbed.results.model import Scalar
from testbed.units import parse_percent, parse_rate, parse_size, parse_time

Quantity = str | int | float  # "45mbit", "20ms" or a bare number in the metric's own unit


class Selector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs of one stack; ``where`` gives matrix parameters other values than the compared run's."""

    stack: str
    where: dict[str, Scalar] = {}


class ExpectSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim about the mean of a metric, checked in every cell of ``stack`` that fits ``where``.

    :param metric: ``METRIC`` or ``SUBJECT.METRIC``; ``testbed metrics`` lists them.
    :param of: the subject, if ``metric`` does not name it: ``FLOW``, ``FLOW@LINK`` or
        ``LINK>NODE``.
    :param relative_to: compare with the same cell of another stack, or with the sum over several
        selectors; without it the bounds are absolute.
    :param best: compare with the best of these, not with their sum.
    :param in_at_least: the bounds hold in this share of the cells, ``90%`` or 0.9; without it and
        ``in_at_most`` each cell is checked for itself.
    :param claim: the claim of a publication that this is a part of (:mod:`testbed.papers`).
    """

    metric: str
    of: str | None = None
    stack: str
    where: dict[str, Scalar] = {}
    relative_to: str | Selector | Annotated[list[Selector], msgspec.Meta(min_length=1)] | None = (
        None
    )
    best: bool = False
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    in_at_least: Quantity | None = None
    in_at_most: Quantity | None = None
    claim: str | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise InputError("an expectation needs 'at_least', 'at_most' or both")
        if self.best and len(self.selectors) < 2:
            raise InputError("'best' needs two or more selectors in 'relative_to'", path="best")
        for name in ("in_at_least", "in_at_most"):
            share(getattr(self, name), name)

    @property
    def of_cells(self) -> bool:
        """Whether the claim is about the share of cells in which the bounds hold."""
        return self.in_at_least is not None or self.in_at_most is not None

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selectors of the reference. Their means are added."""
        if self.relative_to is None:
            return ()
        if isinstance(self.relative_to, str):
            return (Selector(stack=self.relative_to),)
        if isinstance(self.relative_to, Selector):
            return (self.relative_to,)
        return tuple(self.relative_to)

    @property
    def name(self) -> str:
        """The name of the number that the claim is about."""
        return self.metric if self.of is None else f"{self.of}.{self.metric}"

    @property
    def instance(self) -> Instance:
        """The number that the claim is about. Raises InputError."""
        if self.of is not None and "." in self.metric:
            raise InputError(
                f"{self.metric!r} names its subject, and so does 'of'", hint="remove one of them"
            )
        return parse(self.name)

    @property
    def to_itself(self) -> bool:
        """Whether the reference consists only of the runs that the claim is about."""
        return bool(self.selectors) and all(
            each.stack == self.stack and each.where.items() <= self.where.items()
            for each in self.selectors
        )


_PARSERS: Final = {"bit/s": parse_rate, "octets": parse_size}


def bound(
    expect: ExpectSpec, quantity: Quantity | None, own: Mapping[str, Metric] = NONE
) -> float | None:
    """Return a bound in the metric's own unit, or as a plain ratio.

    :param own: the metrics of the experiment.
    :raises InputError: the bound is neither.
    """
    if quantity is None or not isinstance(quantity, str):
        return quantity
    unit = metric_of(expect.name, own).unit
    if expect.relative_to is not None:
        raise InputError(
            f"{quantity!r} is not a number", hint="with 'relative_to' write a ratio: 1.5"
        )
    if unit == "s":
        return parse_time(quantity) / 1e9
    if unit not in _PARSERS:
        raise InputError(f"{quantity!r} is not a number")
    return float(_PARSERS[unit](quantity))


def share(quantity: Quantity | None, path: str = "") -> float | None:
    """Return a share of cells, from 0 to 1.

    :raises InputError: it is not a share; ``path`` is its place in the document.
    """
    if quantity is None:
        return None
    try:
        value = parse_percent(quantity) if isinstance(quantity, str) else float(quantity)
    except InputError as error:
        raise InputError(error.message, path=path, hint="write 90% or 0.9") from None
    if not 0 <= value <= 1:
        raise InputError(f"{quantity} is not a share", path=path, hint="write 90% or 0.9")
    return value


def text(expect: ExpectSpec) -> str:
    """Return the claim in words."""
    subject = f"{expect.name} of {_selected(expect.stack, expect.where)}"
    joint = " and " if expect.best else " + "
    others = joint.join(_selected(each.stack, each.where) for each in expect.selectors)
    best = "the best of " if expect.best else ""
    relation = f", relative to {best}{others}," if others else ""
    limits = _limits(expect.at_least, expect.at_most)
    cells = _limits(expect.in_at_least, expect.in_at_most)
    return f"{subject}{relation} is {limits}" + (f" in {cells} of the cells" if cells else "")


def _limits(at_least: Quantity | None, at_most: Quantity | None) -> str:
    bounds = [("at least", at_least), ("at most", at_most)]
    return " and ".join(f"{word} {value}" for word, value in bounds if value is not None)


def _selected(stack: str, where: Mapping[str, Scalar]) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in where.items())
    return f"{stack} ({values})" if values else stack
