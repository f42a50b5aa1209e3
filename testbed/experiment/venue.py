"""The venues of runs: sandboxes on this kernel, and simulated networks."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from testbed.document import Document
from testbed.experiment.matrix import PlannedRun, traffic_seed
from testbed.experiment.record import Finished
from testbed.experiment.scenario import Scenario
from testbed.experiment.spec import ExperimentSpec
from testbed.workload.result import OnProgress

SIMULATION: Final = "sim"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One run for a venue to carry out.

    :param planned: the run and its cell.
    :param scenario: the scenario of that cell.
    :param directory: the directory for packet captures.
    """

    spec: ExperimentSpec
    scenario: Scenario
    planned: PlannedRun
    directory: Path
    on_progress: OnProgress

    @property
    def seeds(self) -> dict[str, int]:
        """The traffic seed of each flow, by its name."""
        return {
            flow.flow.name: traffic_seed(self.spec.seed, self.planned, flow.flow.name)
            for flow in self.scenario.flows
        }


class Venue(Protocol):
    """A place for runs."""

    @property
    def stacks(self) -> tuple[str, ...]:
        """The names of the available stacks."""

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Refuse an experiment that cannot be carried out there.

        :raises InputError: it cannot be carried out; with file and line.
        """

    def ready(self) -> AbstractContextManager[None]:
        """Load the common needs of runs once for all runs within the context."""

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run, and return its record, even if the workload fails.

        :raises TestbedError: something is missing that every run needs.
        """


def venue(machine: str) -> Venue:
    """Return a venue, and import only its module.

    :param machine: the machine's name in an environment. A virtual machine uses sandboxes, as the
        host does.
    """
    name = "simulated" if machine == SIMULATION else "sandboxed"
    module = importlib.import_module(f"testbed.experiment.{name}")
    found: Venue = module.VENUE
    return found
