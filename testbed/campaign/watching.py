"""What can be told of a campaign while it lasts."""

from __future__ import annotations

from typing import Protocol

from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord
from testbed.workload.result import Progress


class Watcher(Protocol):
    """Is told how far one experiment is."""

    def begin(self, run: PlannedRun) -> None:
        """A run begins."""

    def progress(self, progress: Progress) -> None:
        """Its workload got this far; of runs side by side nothing is told in between."""

    def end(self, record: RunRecord) -> None:
        """It is over and stored."""


class Quiet:
    """A watcher that tells nobody; others tell a part of it."""

    def begin(self, run: PlannedRun) -> None:
        """Say nothing."""

    def progress(self, progress: Progress) -> None:
        """Say nothing."""

    def end(self, record: RunRecord) -> None:
        """Say nothing."""
