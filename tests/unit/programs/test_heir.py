"""What outlives a supervisor: the table of its flows, and what is sent to their peers."""

from __future__ import annotations

import os

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.segment import ACK
from testbed.programs.heir import Flows, probes

IPV4 = Flow(Address("10.0.1.1", 40000), Address("10.0.1.2", 80))
IPV6 = Flow(Address("fd00::1", 40001), Address("fd00::2", 65535))


@pytest.fixture
def flows():
    return Flows()


def test_another_process_reads_what_was_written_last(flows):
    read, write = os.pipe()
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(told, 1)
        os.write(write, repr(flows.read()).encode())
        os._exit(0)
    flows.write([IPV4])
    flows.write([IPV4, IPV6])
    os.write(telling, b".")
    assert os.read(read, 4096).decode() == repr([IPV4, IPV6])
    os.waitpid(child, 0)
    for fd in (read, write, told, telling):
        os.close(fd)


def test_it_may_be_empty(flows):
    assert flows.read() == []
    flows.write([IPV4])
    flows.write(())
    assert flows.read() == []


def test_what_has_no_room_is_left_out(flows):
    many = [Flow(Address("10.0.1.1", port), IPV4.remote) for port in range(1, 20001)]
    flows.write(many)
    assert flows.read() == many[:16384]


@pytest.mark.parametrize("expected", [0, 1, 2**30, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("window", [0, 2**30])
def test_one_probe_at_least_is_outside_of_any_window(expected, window):
    """RFC 7323 allows no window greater than 2**30."""
    offsets = [(probe.seq - expected) % 2**32 for probe in probes(IPV4)]
    assert any(offset > window for offset in offsets)
    assert {probe.flags for probe in probes(IPV4)} == {ACK}
