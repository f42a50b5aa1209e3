"""Are the claims an experiment makes about its results true?  Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.claims import ExpectSpec, bound, text
from testbed.analysis.samples import Samples
from testbed.analysis.statistics import Interval, ratio
from testbed.results.model import Cell, Scalar


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


def evaluate(asked: Asked, samples: Samples) -> tuple[Check, ...]:
    """Check every expectation in every cell it speaks of.

    A claim about runs that the command line left out is left out as well.
    """
    return tuple(
        _evaluate(expect, cell, others, samples)
        for expect in asked.claims
        for cell, others in _subjects(expect, asked.cells)
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
    at_least, at_most = bound(expect, expect.at_least), bound(expect, expect.at_most)
    numerator, *denominators = (samples.values(each, expect.metric) for each in (cell, *others))
    value, interval = None, None
    if numerator and all(any(sample) for sample in denominators):
        result = ratio(numerator, denominators)
        value, interval = result.value, result.interval
    return Check(
        text=text(expect),
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
