"""Runs as values that can be carried out anywhere."""

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
    """An experiment as plain data: all that one needs to carry out its runs.

    :param topology: the name of the topology.
    :param machine: where its runs happen, as an environment names it.
    :param spec: the file, with the topology and what the command line changes in it.
    """

    name: str
    topology: str
    machine: str
    spec: dict[str, Any]

    @classmethod
    def of(cls, experiment: Experiment) -> Definition:
        """Take an experiment apart."""
        return cls(
            name=experiment.name,
            topology=experiment.topology,
            machine=experiment.machine,
            spec=experiment.raw,
        )

    def record(self, created_at: str) -> ExperimentRecord:
        """Return what a result folder says of it.

        :param created_at: UTC, ISO 8601.
        """
        return ExperimentRecord(
            name=self.name,
            topology=self.topology,
            spec=self.spec,
            created_at=created_at,
            version=__version__,
        )

    def experiment(self) -> Experiment:
        """Put the experiment together again.

        :raises InputError: this version of testbed reads it differently.
        """
        return restore(self.record(created_at=""), self.machine)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run: of which experiment, which cell and repetition, with which seed."""

    definition: Definition
    run: PlannedRun


class Bench:
    """Carries out jobs on this kernel; it reads an experiment once for all its jobs in a row.

    :param experiment: one that has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._experiment = experiment
        self._definition = None if experiment is None else Definition.of(experiment)

    def carry_out(self, job: Job, directory: Path, on_progress: OnProgress) -> RunRecord:
        """Do a run; whatever its workload does, there is a record of it.

        :param directory: where all its other files go.
        :raises TestbedError: no other run would fare better.
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
