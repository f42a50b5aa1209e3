"""Records are read back as they were written."""

from __future__ import annotations

import msgspec
import pytest

from testbed import records, sockinfo
from testbed.records.kinds import KINDS
from testbed.wire.netem import WireCounters

WRITTEN = (
    records.TcpInfoRecord(
        t_ns=1, node="client", local="a", remote="b", tcp=records.TcpInfo(state=1, rtt=0)
    ),
    records.WireRecord(t_ns=2, link="wifi", toward="client", counters=WireCounters()),
    records.WorkloadRecord(t_ns=3, node="server", received=7, flow="rival"),
    records.CpuRecord(t_ns=4, node="server", pid=1, process="python", cpu_ns=5),
)


def test_what_is_written_is_read_back():
    assert tuple(records.read(records.encode(WRITTEN))) == WRITTEN


def test_a_field_that_is_missing_is_not_0():
    (record,) = records.read(records.encode(WRITTEN[:1]))
    assert isinstance(record, records.TcpInfoRecord)
    assert (record.tcp.rtt, record.tcp.bytes_retrans) == (0, None)


def test_a_probe_nobody_knows_is_left_out():
    lines = b'{"probe":"thermometer","t_ns":1,"node":"client"}\n' + records.encode(WRITTEN)
    assert tuple(records.read(lines)) == WRITTEN


class Thermometer(records.Record, frozen=True, kw_only=True, tag="thermometer"):
    celsius: float


def test_another_probes_records_are_read_as_its_own(monkeypatch):
    monkeypatch.setitem(KINDS._entries, "thermometer", Thermometer)
    lines = b'{"probe":"thermometer","t_ns":1,"node":"client","celsius":20.5}\n'
    assert tuple(records.read(lines)) == (Thermometer(t_ns=1, node="client", celsius=20.5),)


def test_a_damaged_line_of_another_probe_is_an_error(monkeypatch):
    monkeypatch.setitem(KINDS._entries, "thermometer", Thermometer)
    with pytest.raises(msgspec.ValidationError, match="celsius"):
        tuple(records.read(b'{"probe":"thermometer","t_ns":1,"node":"client"}'))


@pytest.mark.parametrize("line", [b'{"probe":"cpu","t_ns":1}', b'{"t_ns":', b"[]"])
def test_a_damaged_line_is_an_error(line):
    with pytest.raises(msgspec.DecodeError):
        tuple(records.read(line))


def test_the_fields_are_those_of_the_kernels_structures():
    ours = {"idle_restarts", "remote_token", "bytes_out_of_order"}
    kernels = set(sockinfo.decode_tcp_info(bytes(512)))
    assert kernels == set(records.TcpInfo.__struct_fields__) - ours
    kernels = set(sockinfo.decode_mptcp_info(bytes(512)))
    assert kernels == set(records.MptcpFields.__struct_fields__) - ours
