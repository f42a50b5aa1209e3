"""From samples and observations to the evidence of a proof."""

from __future__ import annotations

import msgspec

from testbed.experiment import evidence
from testbed.experiment.scenario import PlannedFlow, Scenario
from testbed.experiment.seen import Seen
from testbed.records import (
    MptcpInfo,
    MptcpInfoRecord,
    NstatRecord,
    PmEventRecord,
    WorkloadRecord,
)
from testbed.sandbox import NamespaceState, Observation
from testbed.topology.load import loads_topology
from testbed.topology.resolve import resolve
from testbed.wire.netem import Netem, WireCounters
from testbed.wire.report import Wire, WireReport
from testbed.workload.flow import WORKLOAD, Flow
from testbed.workload.result import Series, WorkloadResult
from testbed.workload.spec import Bulk, Command, Program
from testbed.workload.stacks.choice import parse

TOPOLOGY = resolve(
    loads_topology("""
nodes: {client: {}, server: {}}
links: {wifi: {between: [client, server], netem: rate 20mbit}}
""")
)
SCENARIO = Scenario(
    topology=TOPOLOGY,
    flows=(
        PlannedFlow(
            flow=Flow(
                name=WORKLOAD,
                workload=Bulk(source="client", target="server", size="1MB", port=5001),
                stack=parse("mptcp"),
                address="10.0.0.2",
            ),
            subflows=2,
        ),
    ),
    timeline=(),
    captures={},
)


def observed(**counters):
    return Observation(
        time_ns=0,
        namespaces={
            name: NamespaceState(name=name, counters=values) for name, values in counters.items()
        },
    )


def mptcp(*states, fallback=False):
    flows = [
        {"id": i, "local": "", "remote": "", "tcp": {"state": s}} for i, s in enumerate(states)
    ]
    # The kernel's own count has those that never came up; it must not be believed.
    return {"fallback": fallback, "info": {"subflows_total": 9}, "subflows": flows}


def sampled(node, *states, fallback=False):
    info = msgspec.convert(mptcp(*states, fallback=fallback), MptcpInfo)
    return MptcpInfoRecord(t_ns=1, node=node, local="", remote="", mptcp=info)


def views(**seen):
    found = evidence.of(SCENARIO, SCENARIO.flows[0], Seen(**seen)).connections
    return [(view.node, view.subflows, view.fallback) for view in found]


def test_counters_are_differences_and_only_those_that_moved():
    before = observed(client={"TcpActiveOpens": 5, "TcpInSegs": 7}, server={"TcpInSegs": 1})
    after = observed(
        client={"TcpActiveOpens": 6, "TcpInSegs": 7, "MPTcpExtMPCapableSYNTX": 1},
        server={"TcpInSegs": 1},
    )
    assert evidence.moved(before, after) == {
        "client": {"TcpActiveOpens": 1, "MPTcpExtMPCapableSYNTX": 1},
        "server": {},
    }
    assert evidence.moved(None, after) == {}


def test_a_node_without_any_counter_has_no_evidence():
    assert evidence.moved(observed(client={}), observed(client={})) == {}


def test_only_established_subflows_count():
    assert views(records=[sampled("client", 1, 2, 7)]) == [("client", 1, False)]
    assert views(records=[sampled("client", 1, 1, 8)]) == [("client", 3, False)]


def test_a_fallback_is_seen():
    assert views(records=[sampled("server", 1, fallback=True)]) == [("server", 1, True)]


def test_the_path_managers_events_count_per_connection():
    events = [
        ("client", 1, "created"),
        ("client", 1, "established"),
        ("client", 2, "created"),
        ("client", 1, "sub_established"),
        ("client", 1, "sub_closed"),
        ("server", None, "listener_created"),
    ]
    records = [
        PmEventRecord(t_ns=0, node=node, token=token, event=event) for node, token, event in events
    ]
    assert [view[1] for view in views(records=records)] == [1, 1, 2, 1]


def test_the_ends_own_last_look_counts():
    result = WorkloadResult(
        started_ns=0,
        finished_ns=1,
        metrics={},
        details={
            "source": {"node": "client", "view": {"mptcp_info": mptcp(1, 1)}},
            "target": {"node": "server", "view": {"tcp_info": {}}},
            "programs": [],
        },
    )
    assert views(results={WORKLOAD: result}) == [("client", 2, False)]


def test_frames_the_emulator_lost_are_evidence():
    report = WireReport(
        wires=(
            Wire(
                link="wifi",
                toward="b",
                engine="emulator",
                netem=Netem.parse("rate 20mbit"),
                counters=WireCounters(dropped_overrun=3, dropped_loss=5),
            ),
        ),
        emulator_cpu_s=0,
    )
    (lost,) = evidence.of(SCENARIO, SCENARIO.flows[0], Seen(wires=report)).lost
    assert (lost.link, lost.toward, lost.packets) == ("wifi", "server", 3)
    (wire,) = evidence.wires(TOPOLOGY, report)
    assert (wire.toward, wire.netem) == ("server", "rate 20mbit")


def test_the_series_has_one_time_axis():
    seen = Seen(
        zero_ns=1000,
        records=[NstatRecord(t_ns=900, node="client", span="sample", values={})],
        results={
            WORKLOAD: WorkloadResult(
                started_ns=1000,
                finished_ns=2000,
                metrics={},
                series=(
                    Series(
                        name="received",
                        node="server",
                        unit="octets",
                        start_ns=1000,
                        step_ns=100,
                        values=(5, 7),
                    ),
                ),
            )
        },
    )
    assert evidence.series(seen) == (
        NstatRecord(t_ns=-100, node="client", span="sample", values={}),
        WorkloadRecord(t_ns=100, node="server", received=5),
        WorkloadRecord(t_ns=200, node="server", received=7),
    )


def test_a_run_that_never_started_has_a_series_from_its_first_record():
    seen = Seen(records=[NstatRecord(t_ns=900, node="client", span="sample", values={})])
    assert [record.t_ns for record in evidence.series(seen)] == [0]


def test_nodes_of_a_command_are_those_of_its_programs_too():
    workload = Command(
        source="client",
        target="server",
        programs=(Program(node="proxy", argv=("true",)), Program(node="client", argv=("true",))),
    )
    flow = Flow(name="web", workload=workload, stack=parse("tcp"), address="10.0.0.2")
    assert PlannedFlow(flow=flow, subflows=1).nodes == ("client", "server", "proxy")
