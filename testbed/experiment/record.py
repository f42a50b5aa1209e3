"""From what was seen of a run to its record and its files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from testbed import records
from testbed.analysis.derive import derived
from testbed.experiment import evidence
from testbed.experiment.events import Action
from testbed.experiment.evidence import Seen
from testbed.experiment.matrix import PlannedRun
from testbed.experiment.proof import Judgement
from testbed.experiment.scenario import Scenario
from testbed.results.model import (
    WORKLOAD,
    EventRecord,
    FlowRecord,
    RunRecord,
    StackRecord,
    Status,
)
from testbed.units import format_time


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what belongs into its directory beside the record."""

    record: RunRecord
    files: dict[str, bytes]


class Start:
    """How things were before the run."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.ns = time.monotonic_ns()
        self.load = os.getloadavg()[0]


def note_events(seen: Seen, events: Sequence[EventRecord], unplayed: Sequence[Action]) -> None:
    """Note what became of the time line; what went wrong with it spoils the run."""
    seen.events = tuple(events)
    for event in seen.events:
        if event.error is not None and seen.failure is None:
            seen.failure = f"event `{event.action}`: {event.error}"
    for action in unplayed:
        if seen.doubt is None:
            seen.doubt = (
                f"the workload ended before the event at {format_time(action.at_ns)} "
                f"(`{action.text}`)"
            )


def finished(
    scenario: Scenario, planned: PlannedRun, seen: Seen, judgement: Judgement, start: Start
) -> Finished:
    """Return the record of a run that is over, and its files."""
    series = evidence.series(seen)
    files = {"series.jsonl": records.encode(series)} | seen.logs
    if seen.result and seen.result.samples_ns:
        files["samples.json"] = msgspec.json.encode(seen.result.samples_ns)
    record = _record(scenario, planned, seen, judgement, start)
    return Finished(record=derived(record, series), files=files)


def _record(
    scenario: Scenario, planned: PlannedRun, seen: Seen, judgement: Judgement, start: Start
) -> RunRecord:
    doubt = seen.doubt or judgement.invalid
    return RunRecord(
        number=planned.number,
        stack=planned.cell.stack,
        parameters=planned.cell.parameters,
        repetition=planned.repetition,
        seed=planned.seed,
        status=Status.FAILED if seen.failure else Status.INVALID if doubt else Status.OK,
        reason=seen.failure or doubt,
        started_at=start.at.isoformat(timespec="milliseconds"),
        seconds=(time.monotonic_ns() - start.ns) / 1e9,
        zero_ns=seen.zero_ns,
        metrics=seen.result.metrics if seen.result else {},
        stacks={WORKLOAD: StackRecord(name=planned.cell.stack)},
        flows={WORKLOAD: _flow(scenario, seen, judgement)},
        addresses=evidence.addresses(scenario.topology, evidence.nodes(scenario.workload)),
        events=seen.events,
        wires=evidence.wires(scenario.topology, seen.wires),
        counters=evidence.moved(seen.before, seen.after),
        sysctls=evidence.sysctls(seen.after),
        cpu=seen.cpu,
        busy=None if seen.busy is None else round(seen.busy, 3),
        load=(start.load, os.getloadavg()[0]),
    )


def _flow(scenario: Scenario, seen: Seen, judgement: Judgement) -> FlowRecord:
    workload = scenario.workload
    return FlowRecord(
        kind=str(workload.__struct_config__.tag),
        source=workload.source,
        target=workload.target,
        port=workload.port,
        paths=scenario.paths,
        proof=judgement.proof,
        details=seen.result.details if seen.result else {},
    )
