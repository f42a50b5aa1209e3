"""Decides whether a version belongs to the good or the bad end of a search. Pure.

First the two ends are compared. The rows with a wanted verdict are the *fault*. For the versions in
between only these rows count.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from testbed.analysis.change import Change
from testbed.analysis.comparison import Comparison
from testbed.analysis.verdicts import Verdict
from testbed.errors import InputError
from testbed.results.model import identity

# A number of one cell: the stack with its parameters, and the metric.
Row = tuple[str, str]


class Judgement(enum.StrEnum):
    """The judgement of a version, with the names of git-bisect(1)."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"  # undecidable


_WORSE: Final = frozenset({Verdict.REGRESSED, Verdict.CHANGED})
_BETTER: Final = frozenset({Verdict.IMPROVED, Verdict.CHANGED})


def sought(*, new_is_better: bool) -> frozenset[Verdict]:
    """Return the wanted verdicts.

    A metric without a better direction counts either way.
    """
    return _BETTER if new_is_better else _WORSE


def fault(found: Comparison, wanted: frozenset[Verdict]) -> tuple[Row, ...]:
    """Return the rows of a comparison that have a wanted verdict."""
    return tuple(row(change) for change in found.changes if change.verdict in wanted)


def judge(found: Comparison, rows: Sequence[Row], wanted: frozenset[Verdict]) -> Judgement | None:
    """Judge a version by its comparison with the good end; ``None`` if it is not decided.

    One row of the fault makes a version bad. A version is good if all rows are decided.
    """
    verdicts = {row(change): change.verdict for change in found.changes}
    of_fault = [verdicts.get(each, Verdict.INCONCLUSIVE) for each in rows]
    if any(verdict in wanted for verdict in of_fault):
        return Judgement.BAD
    return None if Verdict.INCONCLUSIVE in of_fault else Judgement.GOOD


def undecided(found: Comparison, rows: Sequence[Row]) -> tuple[Change, ...]:
    """Return the undecided rows of the fault, or of the comparison if there is no fault yet."""
    return tuple(
        change
        for change in found.changes
        if change.verdict is Verdict.INCONCLUSIVE and (not rows or row(change) in rows)
    )


def row(change: Change) -> Row:
    """Return the cell and the metric of a change."""
    return identity(change.stack, change.parameters), change.metric


def refuse_ends(found: Comparison, *, new_is_better: bool) -> InputError:
    """Return the error that explains why there is no change to search for."""
    counts = ", ".join(f"{verdict}: {count}" for verdict, count in found.counts.items())
    there = found.counts
    hint = "name other ends, or other --metrics"
    if new_is_better and there.get(Verdict.REGRESSED):
        hint = "to search for a regression, remove --new-is-better"
    elif not new_is_better and there.get(Verdict.IMPROVED):
        hint = "to search for an improvement, add --new-is-better"
    elif there.get(Verdict.INCONCLUSIVE):
        hint = "the table above says why it is inconclusive"
    (bad,) = found.news
    word = "better" if new_is_better else "worse"
    return InputError(f"{bad} is not {word} than {found.base} ({counts})", hint=hint)
