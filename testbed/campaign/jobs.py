"""Jobs: runs as values that any process or computer can carry out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from testbed import __version__
from testbed.errors import StoreError
from testbed.experiment.load import Experiment, restore
from testbed.experiment.matrix import PlannedRun
from testbed.experiment.venue import Assignment, venue
from testbed.results.model import ExperimentRecord, RunRecord
from testbed.workload.result import OnProgress


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as plain data, complete enough to carry out its runs.

    :param topology: the name of the topology.
    :param machine: the machine of its runs, by its name in an environment.
    :param spec: the file, with the topology and the changes of the command line.
    """

    name: str
    topology: str
    machine: str
    spec: dict[str, Any]

    @classmethod
    def of(cls, experiment: Experiment) -> Definition:
        """Return the definition of an experiment."""
        return cls(
            name=experiment.name,
            topology=experiment.topology,
            machine=experiment.machine,
            spec=experiment.raw,
        )

    def record(self, created_at: str) -> ExperimentRecord:
        """Return the record of the experiment for a result folder.

        :param created_at: the time of the folder's creation in UTC, as in ISO 8601.
        """
        return ExperimentRecord(
            name=self.name,
            topology=self.topology,
            spec=self.spec,
            created_at=created_at,
            version=__version__,
        )

    def experiment(self) -> Experiment:
        """Rebuild the experiment.

        :raises InputError: this version of testbed reads it differently.
        """
        return restore(self.record(created_at=""), self.machine)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run, with its experiment, cell, repetition and seed."""

    definition: Definition
    run: PlannedRun


class Bench:
    """Carries out jobs on this kernel, and reads an experiment once for consecutive jobs.

    :param experiment: an experiment that has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._experiment = experiment
        self._definition = None if experiment is None else Definition.of(experiment)

    def carry_out(self, job: Job, directory: Path, on_progress: OnProgress) -> RunRecord:
        """Do a run and return its record, even if its workload fails.

        :param directory: the directory for all its other files.
        :raises TestbedError: no other run could succeed.
        """
        experiment = self._read(job.definition)
        assignment = Assignment(
            spec=experiment.spec,
            scenario=experiment.scenario(job.run.cell),
            planned=job.run,
            directory=directory,
            on_progress=on_progress,
        )
        finished = venue(experiment.machine).run_once(assignment)
        for name, content in finished.files.items():
            path = directory / name
            try:
                path.write_bytes(content)
            except OSError as error:
                raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        return finished.record

    def _read(self, definition: Definition) -> Experiment:
        if self._experiment is None or definition != self._definition:
            self._experiment, self._definition = definition.experiment(), definition
        return self._experiment
