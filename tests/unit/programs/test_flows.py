"""The table of a supervisor's flows, which another process reads once it is killed."""

from __future__ import annotations

import os

import pytest

from testbed.packet.address import Address, Flow
from testbed.programs.flows import ROOM, Flows, Peer

IPV4 = Flow(Address("10.0.1.1", 40000), Address("10.0.1.2", 80))
IPV6 = Flow(Address("fd00::1", 40001), Address("fd00::2", 65535))
KEY = 0xFEDC_BA98_7654_3210


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
    flows.note(IPV4, None)
    flows.note(IPV6, None)
    flows.note(IPV4, KEY)
    os.write(telling, b".")
    assert os.read(read, 4096).decode() == repr([Peer(IPV4, KEY), Peer(IPV6)])
    os.waitpid(child, 0)
    for fd in (read, write, told, telling):
        os.close(fd)


def test_a_key_of_0_is_one(flows):
    flows.note(IPV4, 0)
    assert flows.read() == [Peer(IPV4, 0)]


def test_a_key_that_is_known_stays(flows):
    flows.note(IPV4, KEY)
    flows.note(IPV4, None)
    assert flows.read() == [Peer(IPV4, KEY)]


def test_nothing_is_left_of_a_flow_that_has_ended(flows):
    flows.note(IPV4, KEY)
    flows.note(IPV6, KEY)
    flows.forget(IPV4)
    flows.forget(IPV4)
    assert flows.read() == [Peer(IPV6, KEY)]
    flows.clear()
    assert flows.read() == []
    assert not any(bytes(flows._memory))


def test_what_has_no_room_is_left_out(flows):
    many = [Flow(Address("10.0.1.1", port), IPV4.remote) for port in range(1, 20001)]
    for flow in many:
        flows.note(flow, None)
    assert flows.read() == [Peer(flow) for flow in many[:ROOM]]
    flows.forget(many[5])
    flows.note(IPV6, None)
    assert flows.read()[5] == Peer(IPV6)
