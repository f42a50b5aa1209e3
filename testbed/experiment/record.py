"""The record and the files of a run, derived from its observations."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from testbed import records
from testbed.analysis.derive import derived
from testbed.experiment import evidence
from testbed.experiment.matrix import PlannedRun
from testbed.experiment.proof import Judgement
from testbed.experiment.scenario import PlannedFlow, Scenario
from testbed.experiment.seen import Seen
from testbed.results.model import (
    WORKLOAD,
    FlowRecord,
    RunRecord,
    StackRecord,
    Status,
)


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run: its record, and the other files of its directory."""

    record: RunRecord
    files: dict[str, bytes]


class Start:
    """The state of the machine before the run."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.ns = time.monotonic_ns()
        self.load = os.getloadavg()[0]


def finished(
    scenario: Scenario,
    planned: PlannedRun,
    seen: Seen,
    judgements: Mapping[str, Judgement],
    start: Start,
) -> Finished:
    """Return the record of a finished run, and its files.

    :param judgements: the judgement of each flow, by its name.
    """
    series = evidence.series(seen)
    files = {"series.jsonl": records.encode(series)} | seen.logs
    samples = {
        _metric(flow, name): values
        for flow, result in seen.results.items()
        for name, values in result.samples_ns.items()
    }
    if samples:
        files["samples.json"] = msgspec.json.encode(samples)
    record = _record(scenario, planned, seen, judgements, start)
    return Finished(record=derived(record, series), files=files)


def _record(
    scenario: Scenario,
    planned: PlannedRun,
    seen: Seen,
    judgements: Mapping[str, Judgement],
    start: Start,
) -> RunRecord:
    doubt = seen.question or _doubt(judgements)
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
        metrics={
            _metric(flow, name): float(value)
            for flow, result in seen.results.items()
            for name, value in result.metrics.items()
        },
        stacks={flow.flow.name: _stack(flow, seen) for flow in scenario.flows},
        flows={flow.flow.name: _flow(flow, seen, judgements) for flow in scenario.flows},
        addresses=evidence.addresses(scenario.topology, scenario.nodes),
        events=seen.events,
        wires=evidence.wires(scenario.topology, seen.wires),
        boxes=evidence.boxes(seen.wires),
        counters=evidence.moved(seen.before, seen.after),
        sysctls=evidence.sysctls(seen.after),
        cpu=seen.cpu,
        busy=None if seen.busy is None else round(seen.busy, 3),
        load=(start.load, os.getloadavg()[0]),
    )


def _metric(flow: str, name: str) -> str:
    """Return the name of a flow's metric in a run; the short form has no prefix."""
    return name if flow == WORKLOAD else f"{flow}.{name}"


def _doubt(judgements: Mapping[str, Judgement]) -> str | None:
    """Return why a run proves nothing; if it has several flows, with the flow's name."""
    for name, judgement in judgements.items():
        if judgement.invalid:
            return judgement.invalid if name == WORKLOAD else f"{name}: {judgement.invalid}"
    return None


def _stack(planned: PlannedFlow, seen: Seen) -> StackRecord:
    flow = planned.flow
    result = seen.results.get(flow.name)
    nodes = {flow.workload.source: "source", flow.workload.target: "target"}
    ends = records.ends(result.details) if result else ()
    return StackRecord(
        name=flow.stack.name,
        stands_for=flow.stack.stands_for,
        options=flow.stack.options,
        used={nodes[end.node]: end.used for end in ends},
    )


def _flow(planned: PlannedFlow, seen: Seen, judgements: Mapping[str, Judgement]) -> FlowRecord:
    flow = planned.flow
    workload, result = flow.workload, seen.results.get(flow.name)
    return FlowRecord(
        kind=workload.kind,
        source=workload.source,
        target=workload.target,
        port=workload.port,
        background=workload.background,
        paths=planned.paths,
        proof=judgements[flow.name].proof,
        details=result.details if result else {},
    )
