"""Rates of what a running sandbox shows, from one look to the next."""

from __future__ import annotations

from testbed.experiment.watching import Meter
from testbed.records import MptcpInfo, MptcpInfoRecord, TcpInfo, TcpInfoRecord
from testbed.records.sockets import MptcpFields, Subflow
from testbed.topology.load import loads_topology
from testbed.topology.resolve import resolve
from testbed.wire.netem import Netem, WireCounters
from testbed.wire.report import Wire, WireReport

TOPOLOGY = resolve(
    loads_topology("nodes: {a: {}, b: {}}\nlinks: {wifi: {between: [a, b], netem: {}}}\n")
)
SECOND = 1_000_000_000


def report(octets: int, lost: int) -> WireReport:
    counters = WireCounters(forwarded_bytes=octets, dropped_loss=lost, dropped_limit=lost)
    wire = Wire(
        link="wifi", toward="b", engine="emulator", netem=Netem.parse("loss 1%"), counters=counters
    )
    return WireReport(wires=(wire,))


def tcp(acked: int, t_ns: int, state: int = 1) -> TcpInfoRecord:
    info = TcpInfo(state=state, bytes_acked=acked, bytes_received=0, rtt=20_000, snd_cwnd=10)
    return TcpInfoRecord(t_ns=t_ns, node="a", local="10.0.1.1:4", remote="10.0.1.2:5", tcp=info)


def test_a_wires_throughput_is_of_the_time_between_two_looks() -> None:
    meter = Meter(TOPOLOGY)
    (first,) = meter.wires(report(1000, 3), {}, SECOND)
    assert (first.throughput, first.lost, first.toward, first.state) == (0, 0, "b", "up")
    (second,) = meter.wires(report(251_000, 5), {"wifi": "blackhole"}, 3 * SECOND)
    assert second.throughput == 1e6
    assert second.lost == 4
    assert second.state == "blackhole"
    assert second.netem == "loss 1%"


def test_flows_are_subflows_and_plain_connections() -> None:
    meter = Meter(TOPOLOGY)
    subflow = Subflow(id=0, local="10.0.1.1:1", remote="10.0.1.2:2", tcp=TcpInfo(state=1))
    info = MptcpInfo(fallback=False, info=MptcpFields(token=7), subflows=(subflow,))
    mptcp = MptcpInfoRecord(
        t_ns=SECOND, node="a", process="nc", local="10.0.1.1:1", remote="10.0.1.2:2", mptcp=info
    )
    rows = meter.flows([mptcp, tcp(0, SECOND)])
    assert [(row.protocol, row.token, row.local) for row in rows] == [
        ("mptcp", 7, "10.0.1.1:1"),
        ("tcp", None, "10.0.1.1:4"),
    ]
    assert (rows[1].rtt, rows[1].cwnd, rows[1].sent) == (0.02, 10, 0)


def test_of_two_records_the_last_counts_and_one_that_closed_goes() -> None:
    meter = Meter(TOPOLOGY)
    meter.flows([tcp(0, SECOND)])
    (row,) = meter.flows([tcp(62_500, 2 * SECOND), tcp(250_000, 3 * SECOND)])
    assert row.sent == 1.5e6
    assert meter.flows([tcp(0, 4 * SECOND, state=7)]) == ()
