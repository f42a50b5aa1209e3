"""RFC 9293, section 3.8.4: keep-alives."""

from __future__ import annotations

import pytest

from testbed.stack.tcp.state import State

from .script import MS, SECOND, Script, bare


@pytest.mark.requirement("RFC 9293", "MAY-5", "MUST-24", "MUST-27", "MUST-29", "SHLD-12")
def test_keep_alive_finds_a_peer_that_has_gone() -> None:
    """Section 3.8.4."""
    config = bare(
        keepalive=True,
        keepalive_idle_ns=10 * SECOND,
        keepalive_interval_ns=2 * SECOND,
        keepalive_probes=3,
    )
    script = Script(config)
    script.connect()
    assert script.times(60 * SECOND) == [(n, ". 0:0 1") for n in (10_000, 12_000, 14_000)]
    end = script.ending()
    assert end is not None
    assert end.failure is not None


@pytest.mark.requirement("RFC 9293", "MUST-26")
def test_keep_alive_is_content_with_any_answer() -> None:
    script = Script(
        bare(keepalive=True, keepalive_idle_ns=10 * SECOND, keepalive_interval_ns=SECOND)
    )
    connection = script.connect()
    for _ in range(20):
        assert script.wait(10 * SECOND) == [". 0:0 1"]
        script.inject(".", 1, 1)
    assert connection.state is State.ESTABLISHED


def test_keep_alive_is_not_content_with_what_anybody_could_send() -> None:
    script = Script(bare(keepalive=True, keepalive_idle_ns=10 * SECOND, keepalive_probes=2))
    connection = script.connect()
    for _ in range(400):
        script.wait(SECOND)
        script.inject(".", 1_000_000, 1)
    assert connection.state is State.CLOSED


@pytest.mark.requirement("RFC 9293", "MUST-25")
def test_keep_alive_is_off_unless_asked_for() -> None:
    """MUST-25."""
    script = Script()
    script.connect()
    assert script.endpoint.next_timer() is None


def test_keep_alive_is_answered() -> None:
    script = Script()
    script.connect()
    script.inject("P.", 1, 1, b"x")
    assert script.inject(".", 1, 1) == [". 1:1 2"]


@pytest.mark.requirement("RFC 9293", "MUST-28")
def test_keep_alive_waits_for_two_hours() -> None:
    """MUST-28."""
    script = Script(bare(keepalive=True))
    script.connect()
    (when, _), *_ = script.times(3 * 3600 * SECOND)
    assert when >= 2 * 3600 * 1000


@pytest.mark.requirement("RFC 9293", "MUST-26")
def test_no_keep_alive_is_sent_while_data_is_outstanding() -> None:
    """MUST-26: its retransmission finds a peer that has gone."""
    script = Script(bare(keepalive=True, keepalive_idle_ns=SECOND, keepalive_probes=2))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    assert set(script.wait(60 * SECOND)) == {"P. 1:2 1"}
    script.inject(".", 1, 2)
    assert script.wait(1500 * MS) == [". 1:1 1"]
