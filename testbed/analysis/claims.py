"""Claims about results, as an experiment file makes them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from testbed.analysis.registry import metric_of, metrics
from testbed.document import Document, join_path, nearest
from testbed.errors import InputError
from testbed.results.model import Scalar
from testbed.units import parse_rate, parse_size, parse_time

Quantity = str | int | float  # "45mbit", "20ms" or a bare number in the metric's own unit


class Selector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs of one stack; ``where`` gives matrix parameters other values than the compared run's."""

    stack: str
    where: dict[str, Scalar] = {}


class ExpectSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim about the mean of a metric, checked in every cell of ``stack`` that fits ``where``.

    :param relative_to: compare with the same cell of another stack, or with the sum over several
        selectors; without it the bounds are absolute.
    """

    metric: str
    stack: str
    where: dict[str, Scalar] = {}
    relative_to: str | Selector | Annotated[list[Selector], msgspec.Meta(min_length=1)] | None = (
        None
    )
    at_least: Quantity | None = None
    at_most: Quantity | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise InputError("an expectation has 'at_least' or 'at_most', or both")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it is relative to, each of these added up."""
        if self.relative_to is None:
            return ()
        if isinstance(self.relative_to, str):
            return (Selector(stack=self.relative_to),)
        if isinstance(self.relative_to, Selector):
            return (self.relative_to,)
        return tuple(self.relative_to)


def check(
    claims: Sequence[ExpectSpec],
    stacks: Sequence[str],
    parameters: Mapping[str, Sequence[Scalar]],
    written: Document[Any],
) -> None:
    """Check what claims name, as the file says it.

    :param stacks: those that run.
    :param parameters: the values of each axis of the matrix.
    :param written: the file, with the claims under ``expect``.
    :raises InputError: with file and line.
    """
    for index, expect in enumerate(claims):
        path = join_path("expect", index)
        if expect.metric not in metrics():
            hint = nearest(expect.metric, metrics())
            raise written.error(f"there is no metric {expect.metric!r}", f"{path}.metric", hint)
        for selector in (Selector(stack=expect.stack, where=expect.where), *expect.selectors):
            try:
                _check_selector(selector, stacks, parameters)
            except InputError as error:
                raise written.error(error.message, path, error.hint) from None
        for name in ("at_least", "at_most"):
            try:
                bound(expect, getattr(expect, name))
            except InputError as error:
                raise written.error(error.message, f"{path}.{name}", error.hint) from None


def _check_selector(
    selector: Selector, stacks: Sequence[str], parameters: Mapping[str, Sequence[Scalar]]
) -> None:
    if selector.stack not in stacks:
        hint = nearest(selector.stack, stacks)
        raise InputError(f"stack {selector.stack!r} does not run here", hint=hint)
    for name, value in selector.where.items():
        if name not in parameters:
            hint = nearest(name, parameters)
            raise InputError(f"{name!r} is no parameter of the matrix", hint=hint)
        if value not in parameters[name]:
            hint = nearest(str(value), map(str, parameters[name]))
            raise InputError(f"{name} never is {value!r}", hint=hint)


_PARSERS: Final = {"bit/s": parse_rate, "octets": parse_size}


def bound(expect: ExpectSpec, quantity: Quantity | None) -> float | None:
    """Return a bound in the metric's own unit, or as a plain ratio."""
    if quantity is None or not isinstance(quantity, str):
        return quantity
    unit = metric_of(expect.metric).unit
    if expect.relative_to is not None:
        raise InputError(f"{quantity!r} is not a number", hint="relative to something: write 1.5")
    if unit == "s":
        return parse_time(quantity) / 1e9
    if unit not in _PARSERS:
        raise InputError(f"{quantity!r} is not a number")
    return float(_PARSERS[unit](quantity))


def text(expect: ExpectSpec) -> str:
    """Return the claim in words."""
    subject = f"{expect.metric} of {_selected(expect.stack, expect.where)}"
    others = " + ".join(_selected(each.stack, each.where) for each in expect.selectors)
    relation = f", relative to {others}," if others else ""
    bounds = [("at least", expect.at_least), ("at most", expect.at_most)]
    limits = " and ".join(f"{word} {value}" for word, value in bounds if value is not None)
    return f"{subject}{relation} is {limits}"


def _selected(stack: str, where: Mapping[str, Scalar]) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in where.items())
    return f"{stack} ({values})" if values else stack
