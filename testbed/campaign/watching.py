"""What can be told of a campaign while it lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord
from testbed.results.store import Store
from testbed.workload.result import Progress


class Watcher(Protocol):
    """Is told how far one experiment is."""

    def begin(self, run: PlannedRun) -> None:
        """A run begins."""

    def progress(self, progress: Progress) -> None:
        """Its workload got this far."""

    def end(self, record: RunRecord) -> None:
        """It is over and stored."""


class Observer(Protocol):
    """Is told how far a campaign is."""

    def watching(self, name: str, runs: int, jobs: int) -> AbstractContextManager[Watcher]:
        """Return what is told of an experiment, whose runs begin now.

        :param runs: how many there are to do.
        :param jobs: how many of them at a time.
        """

    def over(self, store: Store, machine: str) -> None:
        """All runs of an experiment are over, or no more will follow; at least one is stored."""
