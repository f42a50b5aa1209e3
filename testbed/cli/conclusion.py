"""The conclusion of an experiment: its outcome is printed, stored, and sets the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from testbed.cli.output import console, tell

if TYPE_CHECKING:
    from testbed.analysis.outcome import Outcome
    from testbed.results.store import Store


def conclude(store: Store, *, quiet: bool) -> Outcome:
    """Summarise a result folder. Print it unless ``quiet``; store it if no run is missing."""
    from testbed.campaign import runner
    from testbed.cli.tables import print_outcome

    outcome = runner.conclude(store, on_damage=tell)
    if not outcome.missing:
        store.write_summary(outcome)
    if not quiet:
        try:
            print_outcome(console(), outcome, store.path)
        except BrokenPipeError:
            console(stderr=True).print(f"Results: {store.path}", soft_wrap=True)
            raise
    return outcome


def exit_code(outcomes: Iterable[Outcome], *, strict: bool) -> int:
    """Return 1 if some runs do not count, 3 if an expectation is not met, else 0.

    :param strict: whether to return 1 also for an undecided expectation.
    """
    outcomes = list(outcomes)
    if any(outcome.problems for outcome in outcomes):
        return 1
    if any(outcome.regressed for outcome in outcomes):
        return 3
    return int(strict and any(outcome.inconclusive for outcome in outcomes))
