"""Checks the claims of an experiment about its results. Pure."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.claims import ExpectSpec, bound, share, text
from testbed.analysis.registry import metric_of
from testbed.analysis.samples import SATURATED, Samples
from testbed.analysis.statistics import Interval, Ratio, ratio
from testbed.metric import Better
from testbed.results.model import Cell, Scalar, identity


class Verdict(enum.StrEnum):
    """The verdict on a claim or a change, with 95 % confidence."""

    PASS = "pass"  # noqa: S105 - not a password
    REGRESSED = "regressed"
    IMPROVED = "improved"  # changes only
    CHANGED = "changed"  # changes only, for a metric without a better direction
    INCONCLUSIVE = "inconclusive"  # more repetitions may decide


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation in one cell.

    :param text: the claim in words.
    :param metric: the metric whose unit ``value`` and the bounds have; ``None`` if they are ratios.
    :param value: the mean or the ratio of means; ``None`` without values.
    :param why: the reason for no verdict, if more repetitions would not help.
    :param claim: the claim of a publication that the expectation is a part of.
    """

    text: str
    metric: str | None
    parameters: dict[str, Scalar]
    value: float | None
    interval: Interval | None
    at_least: float | None
    at_most: float | None
    verdict: Verdict
    why: str | None = None
    claim: str | None = None


# The ratio of a mean to the sum of others, with an interval: testbed.analysis.statistics.ratio.
Over = Callable[[Sequence[float], Sequence[Sequence[float]]], Ratio]


def evaluate(asked: Asked, samples: Samples, over: Over = ratio) -> tuple[Check, ...]:
    """Check every expectation in every cell that it is about.

    :param over: computes a ratio of means with its interval.

    The result does not include claims about runs that were left out, for example on the command
    line. See :func:`unjudged`.
    """
    return tuple(
        check for expect in asked.claims for check in _checks(asked, expect, samples, over)
    )


def _checks(asked: Asked, expect: ExpectSpec, samples: Samples, over: Over) -> Iterator[Check]:
    checks = [
        _evaluate(asked, expect, cell, others, samples, over)
        for cell, others in subjects(expect, asked.cells)
    ]
    if checks and expect.of_cells:
        yield _together(expect, checks, over, exact=asked.deterministic)
    else:
        yield from checks


def _together(expect: ExpectSpec, checks: Sequence[Check], over: Over, *, exact: bool) -> Check:
    """Check a claim about the share of cells in which the bounds hold.

    The mean of a cell decides whether the bounds hold in it. The interval treats the cells as a
    sample of similar cells.

    :param exact: whether runs are reproducible. Then the share is exact if no cell is missing.
    """
    holds = [float(_holds(check)) for check in checks if check.value is not None]
    found = over(holds, ()) if holds else None
    at_least, at_most = share(expect.in_at_least), share(expect.in_at_most)
    part = "" if len(holds) == len(checks) else f" (of {len(holds)} of {len(checks)})"
    interval = None if found is None else found.interval
    if exact and found is not None and not part:
        interval = Interval(found.value, found.value)
    return Check(
        text=f"{text(expect)}{part}",
        metric=None,
        parameters={},
        value=None if found is None else found.value,
        interval=interval,
        at_least=at_least,
        at_most=at_most,
        verdict=_verdict(interval, at_least, at_most),
        claim=expect.claim,
    )


def _holds(check: Check) -> bool:
    value = check.value or 0.0
    return (check.at_least is None or value >= check.at_least) and (
        check.at_most is None or value <= check.at_most
    )


def unjudged(asked: Asked) -> tuple[str, ...]:
    """Return the claims about runs that were left out, in words."""
    return tuple(text(expect) for expect in asked.claims if not any(subjects(expect, asked.cells)))


def subjects(expect: ExpectSpec, cells: Sequence[Cell]) -> Iterator[tuple[Cell, tuple[Cell, ...]]]:
    """Yield each cell that a claim is about with its references, except a cell with itself."""
    by_identity = {cell.identity: cell for cell in cells}
    axes = {cell.stack: set(cell.parameters) for cell in cells}
    for cell in cells:
        if cell.stack != expect.stack or not _fits(cell, expect.where):
            continue
        # A cell has no parameters for options that its stack lacks.
        merged = ((each.stack, cell.parameters | each.where) for each in expect.selectors)
        wanted = [
            identity(stack, {k: v for k, v in values.items() if k in axes.get(stack, ())})
            for stack, values in merged
        ]
        others = tuple(by_identity[it] for it in wanted if it in by_identity)
        if len(others) == len(wanted) and others != (cell,):
            yield cell, others


def _fits(cell: Cell, where: Mapping[str, Scalar]) -> bool:
    return all(name in cell.parameters and cell.parameters[name] == where[name] for name in where)


def _evaluate(
    asked: Asked,
    expect: ExpectSpec,
    cell: Cell,
    others: Sequence[Cell],
    samples: Samples,
    over: Over,
) -> Check:
    at_least, at_most = (
        bound(expect, each, asked.own) for each in (expect.at_least, expect.at_most)
    )
    numerator, *denominators = (
        _certain(samples.values(each, expect.name), certain=asked.deterministic)
        for each in (cell, *others)
    )
    value, interval = None, None
    if numerator and all(any(sample) for sample in denominators):
        if expect.best:
            denominators = [_best(denominators, metric_of(expect.name, asked.own).better)]
        result = over(numerator, denominators)
        value, interval = result.value, result.interval
    verdict = _verdict(interval, at_least, at_most)
    why = _refused(asked, expect, verdict, max(samples.busy(each) for each in (cell, *others)))
    return Check(
        text=text(expect),
        metric=expect.name if expect.relative_to is None else None,
        parameters=cell.parameters,
        value=value,
        interval=interval,
        at_least=at_least,
        at_most=at_most,
        verdict=Verdict.INCONCLUSIVE if why else verdict,
        why=why,
        claim=expect.claim,
    )


def _best(samples: Sequence[Sequence[float]], better: Better) -> Sequence[float]:
    return (min if better is Better.LOWER else max)(samples, key=statistics.fmean)


def _certain(values: Sequence[float], *, certain: bool) -> Sequence[float]:
    """Return a sample; a single reproducible run counts twice, so that it decides."""
    return [*values, *values] if certain and len(values) == 1 else values


def _refused(asked: Asked, expect: ExpectSpec, verdict: Verdict, busy: float) -> str | None:
    """Return the reason why no number of runs can decide, if any.

    :param busy: the busy share of the processors in the busiest run.
    """
    metric = metric_of(expect.name, asked.own)
    if asked.deterministic or busy < SATURATED or metric.robust:
        return None
    if verdict is Verdict.PASS and _would_be_better(expect, metric.better):
        return None
    return (
        f"the machine's processors were busy {busy:.0%} of the time: "
        "they may be the limit, not the network"
    )


def _would_be_better(expect: ExpectSpec, better: Better) -> bool:
    """Return whether a claim that holds would also hold with faster processors."""
    return not expect.selectors and (
        (better is Better.HIGHER and expect.at_most is None)
        or (better is Better.LOWER and expect.at_least is None)
    )


def _verdict(interval: Interval | None, at_least: float | None, at_most: float | None) -> Verdict:
    """Return pass if the whole interval is inside the bounds, regressed if it is outside."""
    if interval is None:
        return Verdict.INCONCLUSIVE
    low = float("-inf") if at_least is None else at_least
    high = float("inf") if at_most is None else at_most
    if interval.high < low or interval.low > high:
        return Verdict.REGRESSED
    if low <= interval.low and interval.high <= high:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE
