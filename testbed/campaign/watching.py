"""Callbacks for the progress of an experiment."""

from __future__ import annotations

from typing import Protocol

from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord
from testbed.workload.result import Progress


class Watcher(Protocol):
    """The callbacks of an experiment, called while its runs are carried out."""

    def begin(self, run: PlannedRun) -> None:
        """A run begins."""

    def progress(self, progress: Progress) -> None:
        """The workload of the run made progress. Not called for simultaneous runs."""

    def end(self, record: RunRecord) -> None:
        """A run is finished and stored."""


class Quiet:
    """A watcher that ignores everything, and a base for those that ignore a part."""

    def begin(self, run: PlannedRun) -> None:
        """Do nothing."""

    def progress(self, progress: Progress) -> None:
        """Do nothing."""

    def end(self, record: RunRecord) -> None:
        """Do nothing."""
