"""Error reports about a connection that goes on (RFC 9293, section 3.9.1.8)."""

from __future__ import annotations

import pytest

from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.stack.connection import Closed, ErrorKind, ErrorReport
from testbed.stack.tcp.state import State

from .script import FLOW, SECOND, Script, bare


def reported(script: Script) -> list[ErrorKind]:
    return [event.error.kind for event in script.events if isinstance(event, ErrorReport)]


def unreachable(script: Script, seq: int) -> None:
    assert script.base is not None
    seq = (script.base + seq) & 0xFFFF_FFFF
    error = IcmpError(kind=IcmpKind.UNREACHABLE, flow=FLOW, seq=seq)
    script.endpoint.receive_icmp(error, script.now)


@pytest.mark.requirement("RFC 9293", "MUST-47", "SHLD-25")
def test_a_soft_error_is_reported() -> None:
    """MUST-47, SHLD-25: once, and again when it comes back after there was progress."""
    script = Script()
    connection = script.connect()
    for number in range(2):
        connection.send(b"x")
        script.out()
        for _ in range(3):
            unreachable(script, 1 + number)
            script.out()
        assert reported(script) == [ErrorKind.UNREACHABLE] * (number + 1)
        script.inject(".", 1, 2 + number)
    assert connection.state is State.ESTABLISHED


def test_an_error_that_has_passed_is_no_reason() -> None:
    """Why a connection ends says what has happened since it last got on."""
    script = Script(bare(retries=2))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    unreachable(script, 1)
    script.inject(".", 1, 2)
    connection.send(b"y")
    script.out()
    script.wait(60 * SECOND)
    end = script.ending()
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind is ErrorKind.TIMED_OUT


def test_nothing_is_reported_after_the_end() -> None:
    """The last ACK, in TIME-WAIT, may meet a router that cannot deliver it."""
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    assert script.inject("F.", 1, 2) == [". 2:2 2"]
    assert script.ending() is not None
    unreachable(script, 2)
    script.out()
    assert isinstance(script.events[-1], Closed)
    assert reported(script) == []


@pytest.mark.requirement("RFC 9293", "SHLD-9", "SHLD-10")
def test_trouble_is_reported_after_three_retransmissions() -> None:
    """Section 3.8.3: at R1, and before the connection ends at R2."""
    script = Script(bare(retries=6))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    told = [bool(reported(script)) for _ in range(200) for _ in script.wait(SECOND // 20)]
    assert told[:5] == [False, False, False, True, True]  # after each retransmission
    script.wait(120 * SECOND)
    assert reported(script) == [ErrorKind.TIMED_OUT]
    assert isinstance(script.events[-1], Closed)


def test_nobody_is_told_of_what_nobody_has_accepted() -> None:
    script = Script()
    script.listen()
    script.inject("S", 0)
    unreachable(script, 0)
    assert len(script.wait(300 * SECOND)) > 3
    assert script.events == []
