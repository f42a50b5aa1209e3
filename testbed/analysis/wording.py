"""The text of claims and comparisons for terminals, documents and pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.analysis import numbers
from testbed.analysis.change import Change
from testbed.analysis.comparison import Comparison
from testbed.analysis.registry import metric_of
from testbed.analysis.statistics import Estimate
from testbed.analysis.verdicts import Check
from testbed.metric import Metric


def title(found: Comparison) -> str:
    """Return the title of a comparison: the new sides and the base."""
    return f"{found.experiment}: {', '.join(found.news)} against {found.base}"


def claim(check: Check, own: Mapping[str, Metric]) -> str:
    """Return a claim with the measured number.

    :param own: the metrics that programs of the experiment print, or that other packages added.
    """
    values = [f"{name} = {value}" for name, value in check.parameters.items()]
    unsaid = ", ".join(value for value in values if value not in check.text)
    where = f" (with {unsaid})" if unsaid else ""
    return f"{check.text}{where}: {seen(check, own)}"


def seen(check: Check, own: Mapping[str, Metric]) -> str:
    """Return the measured number of a claim with its interval, and the reason for no verdict."""
    value = "no run measured it"
    if check.value is not None:
        value = numbers.number(check.metric, check.value, check.interval, own)
    return f"{value}; {check.why}" if check.why else value


def heads(found: Comparison) -> list[str]:
    """Return the headings of the columns that :func:`cells` fills."""
    several = ["side"] if len(found.news) > 1 else []
    last = ["verdict"] if found.exact else ["detectable", "p", "verdict"]
    return [*parameters(found), "stack", *several, "metric", "base", "new", "change", *last]


def cells(found: Comparison, change: Change) -> Iterator[str]:
    """Yield one line of the table."""
    for name in parameters(found):
        yield str(change.parameters[name]) if name in change.parameters else "-"
    same = change.stack == change.new_stack
    yield change.stack if same else f"{change.stack} → {change.new_stack}"
    if len(found.news) > 1:
        yield change.side
    yield change.metric
    yield _estimate(found, change, change.base)
    yield _estimate(found, change, change.new)
    yield relative(change)
    if not found.exact:
        yield (
            "-"
            if change.detectable is None
            else numbers.percent(change.detectable).removeprefix("+")
        )
        yield "-" if change.p is None else f"{change.p:.2g}"
    yield change.verdict


def parameters(found: Comparison) -> list[str]:
    """Return the names of all parameters. Cells lack the options of other stacks."""
    return list(dict.fromkeys(name for change in found.changes for name in change.parameters))


def relative(change: Change) -> str:
    """Format a change: ``-9.6 % [-10.9, -8.2]``."""
    if change.relative is None:
        if metric_of(change.metric).names:
            return "other" if change.difference else "the same"
        return "-" if not change.difference else f"{change.difference:+.3g}"
    text = numbers.percent(change.relative) if change.relative else "none"
    if 0 < abs(change.relative) < 0.0005:
        text = f"{change.relative:+.2g}"
    bounds = change.interval
    if bounds is None:
        return text
    return f"{text} [{numbers.percent(bounds.low)}, {numbers.percent(bounds.high)}]"


def subject(change: Change) -> str:
    """Return the metric, the stack and the parameters of a change, in words."""
    values = ", ".join(f"{name} = {value}" for name, value in change.parameters.items())
    where = f" ({values})" if values else ""
    stack = (
        change.stack
        if change.stack == change.new_stack
        else f"{change.new_stack} against " + (change.stack)
    )
    return f"{change.metric} of {stack}{where}"


def why(change: Change) -> str:
    """Explain why a change is not decided, and how many repetitions would decide."""
    if change.repetitions is not None:
        return f"{change.why}; {change.repetitions} repetitions of each would decide"
    return change.why or ""


def explanation(found: Comparison) -> str:
    """Explain the numbers of the table."""
    thresholds = sorted({change.threshold for change in found.changes})
    relevant = " or ".join(f"{each:.1%}" if each else "any" for each in thresholds)
    if found.exact:
        return f"virtual time: every difference is real; smallest relevant change: {relevant}"
    names = sorted({change.test.name for change in found.changes if change.test})
    tests = sum(change.test is not None for change in found.changes)
    return (
        f"change of the mean with its 95 % interval; smallest relevant change: {relevant}; "
        + (f"p of {' and '.join(names)}, corrected for {tests} comparisons; " if tests else "")
        + "detectable: the smallest change that is found 9 times out of 10"
    )


def counted(found: Comparison) -> str:
    """Return the number of changes with each verdict, in words."""
    return ", ".join(f"{verdict}: {count}" for verdict, count in found.counts.items())


def _estimate(found: Comparison, change: Change, estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if found.exact:
        return numbers.number(change.metric, estimate.mean, None, found.own)
    return numbers.quantity(change.metric, estimate, found.own)
