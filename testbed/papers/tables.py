"""Published and measured numbers side by side, as rows of text.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from testbed.analysis import numbers
from testbed.analysis.statistics import Estimate, Ratio
from testbed.analysis.verdicts import Check
from testbed.papers.judging import JudgedClaim, JudgedPaper, JudgedValue, Judgement, Word
from testbed.papers.spec import Read, Side

CLAIMS: Final = ("publication", "claim", "published", "kernel", "ours")
VALUES: Final = ("claim", "published", "of", "metric", "where", "kernel", "ours")
NOTHING: Final = "-"
_SHOWN: Final = 3  # the most published numbers in a cell


def claim_rows(papers: Iterable[JudgedPaper]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each claim, with the columns of :data:`CLAIMS`."""
    for paper in papers:
        for claim in paper.claims:
            yield (
                paper.name,
                claim.claim.says,
                published(claim),
                *(judgement(claim.sides[side]) for side in Side),
            )


def value_rows(paper: JudgedPaper) -> Iterator[tuple[str, ...]]:
    """Yield a row for each published number, with the columns of :data:`VALUES`."""
    for claim in paper.claims:
        for value in claim.values:
            spec = value.value
            how = "" if spec.read is Read.LITERALLY else " (secondary)"
            relative = f" relative to {' or '.join(spec.bases)}" if spec.bases else ""
            yield (
                claim.name,
                _number(value),
                spec.label,
                f"{spec.metric}{relative}",
                f"{spec.where}{how}",
                *(_seen(value, side) for side in Side),
            )


def counts(papers: Iterable[JudgedPaper]) -> dict[Side, dict[Word, int]]:
    """Return the number of claims with each verdict, for each side."""
    found: dict[Side, Counter[Word]] = {side: Counter() for side in Side}
    for paper in papers:
        for claim in paper.claims:
            for side, what in claim.sides.items():
                found[side][what.word] += 1
    return {side: {word: count[word] for word in Word} for side, count in found.items()}


def published(claim: JudgedClaim) -> str:
    """Return the published numbers of a claim in a few words."""
    shown = [f"{_number(it)} ({it.value.label})" for it in claim.values[:_SHOWN]]
    left = len(claim.values) - len(shown)
    return "; ".join([*shown, *[f"{left} more"] * (left > 0)]) or NOTHING


def judgement(found: Judgement) -> str:
    """Return a verdict with the measured numbers."""
    if found.word is Word.CANNOT:
        return f"{found.word}: {found.why}"
    return f"{found.word}: {seen(found.checks)}"


def seen(checks: Sequence[Check]) -> str:
    """Return the measured number of a single check, or how many of several checks pass."""
    if len(checks) == 1:
        (check,) = checks
        return f"{_value(check)} ({bounds(check)})"
    passed = sum(check.verdict == "pass" for check in checks)
    return f"{passed} of {len(checks)} expectations"


def check_line(check: Check) -> str:
    """Return one expectation with the measured number."""
    cell = ", ".join(f"{name} = {value}" for name, value in check.parameters.items())
    where = f" at {cell}" if cell else ""
    said = "not measured" if check.value is None else _value(check)
    return f"{check.text}{where}: {said}"


def bounds(check: Check) -> str:
    """Return the expected bounds."""
    limits = [("at least", check.at_least), ("at most", check.at_most)]
    return " and ".join(
        f"{word} {numbers.number(check.metric, value, None)}"
        for word, value in limits
        if value is not None
    )


def _value(check: Check) -> str:
    if check.value is None:
        return "not measured"
    ends = check.interval
    spread = ends if ends is not None and ends.low != ends.high else None
    return numbers.number(check.metric, check.value, spread)


def _number(value: JudgedValue) -> str:
    metric = None if value.value.relative_to is not None else value.value.metric
    return numbers.number(metric, value.number, None)


def _seen(value: JudgedValue, side: Side) -> str:
    stacks = value.seen[side]
    texts = [
        f"{stack}: {_measured(value, what)}" if len(stacks) > 1 else _measured(value, what)
        for stack, what in stacks.items()
    ]
    return "; ".join(texts) or NOTHING


def _measured(value: JudgedValue, what: Estimate | Ratio | None) -> str:
    if what is None:
        return "not measured"
    if isinstance(what, Ratio):
        return numbers.times(what)
    return numbers.quantity(value.value.metric, what)
