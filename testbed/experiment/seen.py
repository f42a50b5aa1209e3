"""The observations of a run, as they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from testbed.experiment.events import Action
from testbed.records import Record
from testbed.results.model import EventRecord
from testbed.units import format_time
from testbed.wire.report import WireReport
from testbed.workload.result import WorkloadResult

if TYPE_CHECKING:  # a simulated run does not use the sandbox
    from testbed.sandbox import Observation


class Seen(msgspec.Struct, kw_only=True):
    """The observations of a run. Some are missing if the run failed.

    :param failure: the reason why it failed.
    :param question: the reason why it proves nothing although it did not fail.
    :param results: the result of each flow, by name.
    :param cpu: CPU seconds of processes outside of the workload.
    """

    failure: str | None = None
    question: str | None = None
    zero_ns: int | None = None
    results: Mapping[str, WorkloadResult] = {}
    events: tuple[EventRecord, ...] = ()
    before: Observation | None = None
    after: Observation | None = None
    wires: WireReport | None = None
    records: Sequence[Record] = ()
    cpu: dict[str, float] = {}
    busy: float | None = None
    logs: dict[str, bytes] = {}

    def fail(self, reason: str) -> None:
        """Record why the run failed. The first reason stays."""
        self.failure = self.failure or reason

    def doubt(self, reason: str | None) -> None:
        """Record why the run proves nothing, if there is a reason. The first one stays."""
        self.question = self.question or reason

    def began(self, before: Observation) -> None:
        """Record the state of the nodes before the workload."""
        self.before = before

    def carried(self, results: Mapping[str, WorkloadResult]) -> None:
        """Record the results of the flows."""
        self.results = results

    def ended(self, zero_ns: int | None, busy: float | None = None) -> None:
        """Record when the workload started, and how busy the machine was during it."""
        self.zero_ns, self.busy = zero_ns, busy

    def left(self, wires: WireReport, after: Observation | None = None) -> None:
        """Record the state of the wires and the nodes after the workload."""
        self.wires, self.after = wires, after

    def played(self, events: Sequence[EventRecord], unplayed: Sequence[Action]) -> None:
        """Record the outcome of the time line. A failed event fails the run."""
        self.events = tuple(events)
        for event in self.events:
            if event.error is not None:
                self.fail(f"event `{event.action}`: {event.error}")
        for action in unplayed:
            self.doubt(
                f"the workload ended before the event at {format_time(action.at_ns)} "
                f"(`{action.text}`)"
            )

    def sampled(self, found: Sequence[Record]) -> None:
        """Record what the probes saw."""
        self.records = found

    def spent(self, cpu: dict[str, float]) -> None:
        """Record the CPU seconds of processes outside of the workload."""
        self.cpu = cpu

    def logged(self, logs: Mapping[str, bytes]) -> None:
        """Record the output of programs, by the names of their files."""
        self.logs |= logs
