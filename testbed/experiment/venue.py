"""Where runs happen: a sandbox on this kernel, or a simulated network."""

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
    """One run that a venue shall carry out.

    :param planned: which run it is, of which cell.
    :param scenario: of that cell.
    :param directory: where packet captures go.
    """

    spec: ExperimentSpec
    scenario: Scenario
    planned: PlannedRun
    directory: Path
    on_progress: OnProgress

    @property
    def seeds(self) -> dict[str, int]:
        """The seed of what each flow does, by its name."""
        return {
            flow.flow.name: traffic_seed(self.spec.seed, self.planned, flow.flow.name)
            for flow in self.scenario.flows
        }


class Venue(Protocol):
    """A place for runs."""

    @property
    def stacks(self) -> tuple[str, ...]:
        """The names of the stacks there are."""

    def check(self, written: Document[ExperimentSpec]) -> None:
        """Refuse a scenario that cannot be carried out there.

        :raises InputError: with file and line.
        """

    def ready(self) -> AbstractContextManager[None]:
        """Have what runs need loaded once for all runs within the context."""

    def run_once(self, run: Assignment) -> Finished:
        """Carry out one run, and return its record, whatever the workload does.

        :raises TestbedError: something is missing without which no other run would fare better.
        """


def venue(machine: str) -> Venue:
    """Return a venue; only the one that is asked for is imported.

    :param machine: as an environment names it.  On a virtual one there are sandboxes, as here.
    """
    name = "simulated" if machine == SIMULATION else "sandboxed"
    module = importlib.import_module(f"testbed.experiment.{name}")
    found: Venue = module.VENUE
    return found
