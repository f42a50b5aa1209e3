"""Callbacks for the progress of an experiment."""

from __future__ import annotations

from typing import Protocol

from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord
from testbed.workload.result import Progress


class Watcher(Protocol):
    """The callbacks: one experiment calls them while its runs are carried out."""

    def begin(self, run: PlannedRun) -> None:
        """Take note that a run begins."""

    def progress(self, progress: Progress) -> None:
        """Take the progress of its workload.  Not called for runs that are side by side."""

    def end(self, record: RunRecord) -> None:
        """Take the record of a run that is over and stored."""


class Quiet:
    """A watcher that ignores everything; a base for those that ignore a part."""

    def begin(self, run: PlannedRun) -> None:
        """Say nothing."""

    def progress(self, progress: Progress) -> None:
        """Say nothing."""

    def end(self, record: RunRecord) -> None:
        """Say nothing."""
