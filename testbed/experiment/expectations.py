"""Are the claims an experiment makes about its results true?  Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from testbed.document import Document, join_path, nearest
from testbed.errors import InputError
from testbed.experiment.matrix import Cell
from testbed.experiment.spec import ExpectSpec, ExperimentSpec, Quantity, Scalar, Selector
from testbed.results.statistics import Interval, ratio
from testbed.units import parse_rate, parse_size, parse_time
from testbed.workload.metrics import METRICS

Samples = Mapping[int, Mapping[str, Sequence[float]]]  # cell -> metric -> values of its ok runs


class Verdict(enum.StrEnum):
    """What the runs say about a claim, with 95 % confidence."""

    PASS = "pass"  # noqa: S105 - not a password
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"  # more repetitions would tell


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation in one cell.

    :param text: the claim in words.
    :param metric: whose unit ``value`` and the bounds have; ``None``: they are ratios.
    :param value: the mean, or the ratio of means; ``None`` where no run gave one.
    """

    text: str
    metric: str | None
    parameters: dict[str, Scalar]
    value: float | None
    interval: Interval | None
    at_least: float | None
    at_most: float | None
    verdict: Verdict


def check(written: Document[ExperimentSpec]) -> None:
    """Check what expectations name, as the file says it.

    :raises InputError: with file and line.
    """
    spec = written.value
    for index, expect in enumerate(spec.expect):
        path = join_path("expect", index)
        if expect.metric not in METRICS:
            hint = nearest(expect.metric, METRICS)
            raise written.error(f"there is no metric {expect.metric!r}", f"{path}.metric", hint)
        for selector in (Selector(stack=expect.stack, where=expect.where), *expect.selectors):
            _check_selector(written, selector, path)
        for name in ("at_least", "at_most"):
            try:
                _bound(expect, getattr(expect, name))
            except InputError as error:
                raise written.error(error.message, f"{path}.{name}", error.hint) from None


def _check_selector(written: Document[ExperimentSpec], selector: Selector, path: str) -> None:
    spec = written.value
    if selector.stack not in spec.stacks:
        hint = nearest(selector.stack, spec.stacks)
        raise written.error(f"stack {selector.stack!r} does not run here", path, hint)
    for name, value in selector.where.items():
        if name not in spec.parameters:
            hint = nearest(name, spec.parameters)
            raise written.error(f"{name!r} is no parameter of the matrix", path, hint)
        if value not in spec.parameters[name]:
            hint = nearest(str(value), map(str, spec.parameters[name]))
            raise written.error(f"{name} never is {value!r}", path, hint)


def evaluate(spec: ExperimentSpec, cells: Sequence[Cell], samples: Samples) -> tuple[Check, ...]:
    """Check every expectation in every cell it speaks of.

    A claim about runs that the command line left out is left out as well.
    """
    return tuple(
        _evaluate(expect, cell, others, samples)
        for expect in spec.expect
        for cell, others in _subjects(expect, cells)
    )


def _subjects(expect: ExpectSpec, cells: Sequence[Cell]) -> Iterator[tuple[Cell, tuple[Cell, ...]]]:
    """Yield each cell the claim is about, with the cells it is relative to."""
    for cell in cells:
        if cell.stack != expect.stack or not _fits(cell, expect.where):
            continue
        wanted = [(each.stack, cell.parameters | each.where) for each in expect.selectors]
        others = tuple(
            other
            for stack, parameters in wanted
            for other in cells
            if other.stack == stack and other.parameters == parameters
        )
        if len(others) == len(wanted):
            yield cell, others


def _fits(cell: Cell, where: Mapping[str, Scalar]) -> bool:
    return all(name in cell.parameters and cell.parameters[name] == where[name] for name in where)


def _evaluate(expect: ExpectSpec, cell: Cell, others: Sequence[Cell], samples: Samples) -> Check:
    at_least, at_most = _bound(expect, expect.at_least), _bound(expect, expect.at_most)
    numerator, *denominators = (
        samples.get(each.index, {}).get(expect.metric, ()) for each in (cell, *others)
    )
    value, interval = None, None
    if numerator and all(any(sample) for sample in denominators):
        result = ratio(numerator, denominators)
        value, interval = result.value, result.interval
    return Check(
        text=_text(expect),
        metric=expect.metric if expect.relative_to is None else None,
        parameters=cell.parameters,
        value=value,
        interval=interval,
        at_least=at_least,
        at_most=at_most,
        verdict=_verdict(interval, at_least, at_most),
    )


def _verdict(interval: Interval | None, at_least: float | None, at_most: float | None) -> Verdict:
    """Pass with the whole interval inside the bounds, regressed with all of it outside."""
    if interval is None:
        return Verdict.INCONCLUSIVE
    low = float("-inf") if at_least is None else at_least
    high = float("inf") if at_most is None else at_most
    if interval.high < low or interval.low > high:
        return Verdict.REGRESSED
    if low <= interval.low and interval.high <= high:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


_PARSERS: Final = {"bit/s": parse_rate, "octets": parse_size}


def _bound(expect: ExpectSpec, quantity: Quantity | None) -> float | None:
    """Return a bound in the metric's own unit, or as a plain ratio."""
    if quantity is None or not isinstance(quantity, str):
        return quantity
    unit = METRICS[expect.metric].unit
    if expect.relative_to is not None:
        raise InputError(f"{quantity!r} is not a number", hint="relative to something: write 1.5")
    if unit == "s":
        return parse_time(quantity) / 1e9
    if unit not in _PARSERS:
        raise InputError(f"{quantity!r} is not a number")
    return float(_PARSERS[unit](quantity))


def _text(expect: ExpectSpec) -> str:
    subject = f"{expect.metric} of {_selected(expect.stack, expect.where)}"
    others = " + ".join(_selected(each.stack, each.where) for each in expect.selectors)
    relation = f", relative to {others}," if others else ""
    bounds = [("at least", expect.at_least), ("at most", expect.at_most)]
    limits = " and ".join(f"{word} {value}" for word, value in bounds if value is not None)
    return f"{subject}{relation} is {limits}"


def _selected(stack: str, where: Mapping[str, Scalar]) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in where.items())
    return f"{stack} ({values})" if values else stack
