"""The decoders of probes, tested without a kernel."""

from __future__ import annotations

import socket
import struct

import msgspec
import pytest

from testbed.errors import InputError
from testbed.probe.probes import PROBES, Probe, pm_events
from testbed.records import PmEventRecord, WireRecord
from testbed.records.kinds import KINDS
from testbed.wire.netem import WireCounters


def attribute(number: int, data: bytes) -> bytes:
    """One netlink attribute, padded (netlink(7))."""
    return struct.pack("=HH", 4 + len(data), number) + data + bytes(-len(data) % 4)


def message(command: int, *attributes: bytes) -> bytes:
    body = struct.pack("=BBH", command, 1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 30, 0, 0, 0) + body


def test_a_new_subflow():
    data = message(
        10,
        attribute(1, struct.pack("=I", 0xCAFE)),
        attribute(2, struct.pack("=H", socket.AF_INET)),
        attribute(3, b"\x02"),
        attribute(4, b"\x01"),
        attribute(5, bytes([10, 0, 2, 1])),
        attribute(7, bytes([10, 0, 2, 2])),
        attribute(9, struct.pack("!H", 40000)),
        attribute(10, struct.pack("!H", 5001)),
        attribute(11, b"\x01"),
        attribute(15, struct.pack("=i", 7)),
    )
    assert pm_events.event(data, t_ns=5, node="client") == PmEventRecord(
        t_ns=5,
        node="client",
        event="sub_established",
        token=0xCAFE,
        local="10.0.2.1:40000",
        remote="10.0.2.2:5001",
        local_id=2,
        remote_id=1,
        backup=True,
        interface=7,
    )


def test_an_announced_address_of_version_6():
    data = message(
        6,
        attribute(1, struct.pack("=I", 1)),
        attribute(4, b"\x03"),
        attribute(8, socket.inet_pton(socket.AF_INET6, "fd00::2")),
    )
    found = pm_events.event(data, t_ns=0, node="client")
    assert (found.event, found.remote, found.remote_id) == ("announced", "[fd00::2]:0", 3)
    assert found.local is None


def test_an_event_of_a_later_kernel_keeps_its_number():
    assert pm_events.event(message(99), t_ns=0, node="x").event == "99"


def test_a_record_is_one_object_with_time_probe_and_node():
    counters = WireCounters(
        **dict.fromkeys(WireCounters.__struct_fields__, 0)  # type: ignore[arg-type]
    )
    record = WireRecord(t_ns=1, link="wifi", toward="client", counters=counters)
    found = msgspec.json.decode(msgspec.json.encode(record))
    assert (found["t_ns"], found["probe"]) == (1, "wire")


@pytest.mark.parametrize("name", PROBES.own())
def test_a_probe_says_what_it_writes_and_that_bears_its_name(name):
    assert issubclass(PROBES[name], Probe)
    assert PROBES[name].record is KINDS[name]
    assert KINDS[name].__struct_config__.tag == name


def test_an_unknown_probe_is_refused():
    with pytest.raises(InputError, match=r"no probe 'tcpinfo'.*tcp_info"):
        PROBES.find("tcpinfo")
