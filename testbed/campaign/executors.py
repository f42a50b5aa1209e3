"""Who carries out jobs: what an executor is, and the one that does them in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from testbed.campaign.jobs import Bench, Job
from testbed.campaign.watching import Watcher
from testbed.experiment.load import Experiment
from testbed.experiment.record import Finished
from testbed.results.model import Status
from testbed.results.store import Store
from testbed.workload.result import Progress


class Writer:
    """Stores what comes back of the jobs of one experiment, and tells the watcher.

    There is one for a result folder; executors call it from one thread.

    :param fail_fast: no more is wanted after the first run that failed or is invalid.
    """

    def __init__(self, store: Store, watcher: Watcher, *, fail_fast: bool = False) -> None:
        self._store = store
        self._watcher = watcher
        self._fail_fast = fail_fast

    def begin(self, job: Job) -> Path:
        """Note that a job begins, and return the directory for its files.

        :raises StoreError: it cannot be made.
        """
        self._watcher.begin(job.run)
        return self._store.begin_run(job.run.number)

    def progress(self, progress: Progress) -> None:
        """Pass on how far a job is."""
        self._watcher.progress(progress)

    def finish(self, finished: Finished) -> bool:
        """Store a run; return whether more are wanted.

        :raises StoreError: it cannot be written; what was stored stays.
        """
        self._store.finish_run(finished.record, finished.files)
        self._watcher.end(finished.record)
        return not (self._fail_fast and finished.record.status is not Status.OK)


class Executor(Protocol):
    """A way to carry out jobs.

    Jobs are values, and so are their results: a job may be done by another process or on another
    computer, as long as ``writer`` is used here, and the directory it returns can be written there
    where packets are captured.
    """

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do jobs of one experiment until all are done or the writer wants no more.

        :raises TestbedError: no further job is possible; what was stored stays.
        """


class InOrder:
    """Does one job after the other, in this process: measuring wants quiet.

    :param experiment: whose jobs they will be, if it has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._bench = Bench(experiment)

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do them as they stand."""
        for job in jobs:
            directory = writer.begin(job)
            if not writer.finish(self._bench.carry_out(job, directory, writer.progress)):
                return
