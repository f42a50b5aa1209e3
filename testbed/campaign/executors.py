"""Executors: they carry out jobs in this process, or side by side in others and in machines."""

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

    A result folder has one writer. Executors call it from one thread.

    :param fail_fast: whether to stop after the first run that failed or is invalid.
    """

    def __init__(self, store: Store, watcher: Watcher, *, fail_fast: bool = False) -> None:
        self._store = store
        self._watcher = watcher
        self._fail_fast = fail_fast

    def located(self, environment: Environment) -> None:
        """Record where the runs happen. Each machine reports it before its first run.

        :raises InputError: the folder's runs were made elsewhere.
        :raises StoreError: the folder cannot be written.
        """
        if self._store.described:
            check_environment(self._store, environment)
        else:
            self._store.describe(environment)

    def enlisted(self, environment: Environment) -> None:
        """Record a worker of a cluster that will get runs.

        In real time, the folder's runs must have the same environment. Simulations on any worker
        run as in the folder's environment, which stays.

        :raises InputError: the folder's runs were made elsewhere.
        :raises StoreError: the folder cannot be written.
        """
        if environment.machine != SIMULATION:
            self.located(environment)
        self._store.add_worker(environment)

    def prepare(self, job: Job) -> Path:
        """Return the directory for the files of a job.

        :raises StoreError: the directory cannot be made.
        """
        return self._store.begin_run(job.run.number)

    def begin(self, job: Job) -> None:
        """Record that a job begins."""
        self._watcher.begin(job.run)

    def progress(self, progress: Progress) -> None:
        """Pass on the progress of a job."""
        self._watcher.progress(progress)

    def finish(self, record: RunRecord) -> bool:
        """Store a run; return whether more are wanted.

        :raises StoreError: the run cannot be written; stored runs stay.
        """
        self._store.finish_run(record)
        self._watcher.end(record)
        return not (self._fail_fast and record.status is not Status.OK)

    def console(self, text: bytes) -> None:
        """Store the console output of a machine's kernel. Raises StoreError."""
        if text:
            self._store.add_console(text)


def check_environment(store: Store, environment: Environment) -> None:
    """Refuse to add runs that are not comparable with those of a folder.

    :raises InputError: their environment is different.
    """
    differences = store.environment().differences(environment)
    if differences:
        raise InputError(
            f"{store.path} was measured in another environment: {'; '.join(differences)}",
            hint="start the experiment again in a new folder",
        )


class Executor(Protocol):
    """A way to carry out jobs.

    Jobs and their results are values: another process or computer may do a job, if ``writer`` is
    used here, and its directories can be written there.
    """

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do jobs of one experiment until all are done or the writer stops.

        :raises TestbedError: no further job is possible; stored runs stay.
        """


class InOrder:
    """Does one job after another in this process, so that no job disturbs another.

    :param experiment: the experiment of the jobs, if it has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._bench = Bench(experiment)

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do the jobs in their order."""
        if not jobs:
            return
        with venue(jobs[0].definition.machine).ready():
            for job in jobs:
                directory = writer.prepare(job)
                writer.begin(job)
                if not writer.finish(self._bench.carry_out(job, directory, writer.progress)):
                    return
