"""Executors carry out jobs: this process in order, or other processes and machines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from testbed.campaign.jobs import Bench, Job
from testbed.campaign.watching import Watcher
from testbed.errors import InputError
from testbed.experiment.load import Experiment
from testbed.experiment.venue import SIMULATION, venue
from testbed.results.environment import Environment
from testbed.results.model import RunRecord, Status
from testbed.results.store import Store
from testbed.workload.result import Progress


class Writer:
    """Stores the results of the jobs of one experiment, and informs the watcher.

    There is one for a result folder; executors call it from one thread.

    :param fail_fast: no more is wanted after the first run that failed or is invalid.
    """

    def __init__(self, store: Store, watcher: Watcher, *, fail_fast: bool = False) -> None:
        self._store = store
        self._watcher = watcher
        self._fail_fast = fail_fast

    def located(self, environment: Environment) -> None:
        """Note where the runs happen; each machine says so before its first run.

        :raises InputError: the folder's runs were made elsewhere.
        :raises StoreError: it cannot be written.
        """
        if self._store.described:
            check_environment(self._store, environment)
        else:
            self._store.describe(environment)

    def enlisted(self, environment: Environment) -> None:
        """Note a worker of a cluster that will get runs.

        Where time is real, the folder's runs were made in the same environment.  Simulations
        happen everywhere as in the one that the folder has.

        :raises InputError: the folder's runs were made elsewhere.
        :raises StoreError: it cannot be written.
        """
        if environment.machine != SIMULATION:
            self.located(environment)
        self._store.add_worker(environment)

    def prepare(self, job: Job) -> Path:
        """Return the directory for the files of a job.

        :raises StoreError: it cannot be made.
        """
        return self._store.begin_run(job.run.number)

    def begin(self, job: Job) -> None:
        """Note that a job begins."""
        self._watcher.begin(job.run)

    def progress(self, progress: Progress) -> None:
        """Pass on how far a job is."""
        self._watcher.progress(progress)

    def finish(self, record: RunRecord) -> bool:
        """Store a run; return whether more are wanted.

        :raises StoreError: it cannot be written; what was stored stays.
        """
        self._store.finish_run(record)
        self._watcher.end(record)
        return not (self._fail_fast and record.status is not Status.OK)

    def console(self, text: bytes) -> None:
        """Keep what the kernel of a machine said.  Raises StoreError."""
        if text:
            self._store.add_console(text)


def check_environment(store: Store, environment: Environment) -> None:
    """Refuse to add runs that could not be compared with those of a folder.

    :raises InputError: they would be made in another environment.
    """
    differences = store.environment().differences(environment)
    if differences:
        raise InputError(
            f"{store.path} was measured in another environment: {'; '.join(differences)}",
            hint="start the experiment anew",
        )


class Executor(Protocol):
    """A way to carry out jobs.

    Jobs are values, and so are their results: a job may be done by another process or on another
    computer, as long as ``writer`` is used here, and its directories can be written there.
    """

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do jobs of one experiment until all are done or the writer wants no more.

        :raises TestbedError: no further job is possible; what was stored stays.
        """


class InOrder:
    """Does one job after the other, in this process, so that no job disturbs another.

    :param experiment: whose jobs they will be, if it has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._bench = Bench(experiment)

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do them as they stand."""
        if not jobs:
            return
        with venue(jobs[0].definition.machine).ready():
            for job in jobs:
                directory = writer.prepare(job)
                writer.begin(job)
                if not writer.finish(self._bench.carry_out(job, directory, writer.progress)):
                    return
