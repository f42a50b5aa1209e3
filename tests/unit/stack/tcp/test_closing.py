"""RFC 9293, sections 3.6 and 3.10.4 to 3.10.8: the end of connections."""

from __future__ import annotations

import pytest

from testbed.packet.options import MaximumSegmentSize, Timestamps
from testbed.stack.connection import Closed, ErrorKind, Readable
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import State

from .script import FLOW, MS, SECOND, Script, bare


@pytest.mark.requirement("RFC 9293", "MUST-13")
def test_active_close() -> None:
    """Section 3.6, figure 12."""
    script = Script()
    connection = script.connect()
    connection.shutdown()
    assert script.out() == ["F. 1:1 1"]
    assert connection.state is State.FIN_WAIT_1
    assert script.inject(".", 1, 2) == []
    assert connection.state is State.FIN_WAIT_2
    assert script.inject("F.", 1, 2) == [". 2:2 2"]
    assert connection.state is State.TIME_WAIT
    assert script.ending() == Closed()
    assert connection.closed
    assert script.wait(60 * SECOND) == []
    assert connection.state is State.CLOSED
    assert script.endpoint.connection(FLOW) is None


@pytest.mark.requirement("RFC 9293", "MUST-12")
def test_passive_close() -> None:
    """Section 3.6, figure 12, the other side; half-close: it still sends in CLOSE-WAIT."""
    script = Script()
    connection = script.accept()
    assert script.inject("F.", 1, 1) == [". 1:1 2"]
    assert connection.state is State.CLOSE_WAIT
    assert connection.at_eof
    connection.send(b"still")
    assert script.out() == ["P. 1:6 2"]
    script.inject(".", 2, 6)
    connection.shutdown()
    assert script.out() == ["F. 6:6 2"]
    assert connection.state is State.LAST_ACK
    assert script.inject(".", 2, 7) == []
    assert connection.state is State.CLOSED
    assert script.ending() == Closed()


def test_simultaneous_close() -> None:
    """Section 3.6, figure 13."""
    script = Script()
    connection = script.connect()
    connection.shutdown()
    assert script.out() == ["F. 1:1 1"]
    assert script.inject("F.", 1, 1) == [". 2:2 2"]
    assert connection.state is State.CLOSING
    assert script.inject(".", 2, 2) == []
    assert connection.state is State.TIME_WAIT


def test_fin_that_acknowledges_fin() -> None:
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    assert script.inject("F.", 1, 2) == [". 2:2 2"]
    assert connection.state is State.TIME_WAIT


def test_fin_goes_with_the_last_data_and_comes_again_with_it() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 100)
    connection.shutdown()
    assert script.out() == ["FP. 1:101 1"]
    assert script.wait(300 * MS) == ["FP. 1:101 1"]


def test_half_close_still_receives() -> None:
    """Section 3.6, case 1: data is received until the peer closes as well."""
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    script.inject(".", 1, 2)
    script.inject("P.", 1, 2, b"more")
    assert connection.read(100) == b"more"
    script.inject("FP.", 5, 2, b"last")
    assert connection.read(100) == b"last"
    assert connection.at_eof


def test_end_of_stream_is_reported_as_readable() -> None:
    script = Script()
    script.connect()
    script.events.clear()
    script.inject("F.", 1, 1)
    assert script.events == [Readable()]


def test_a_fin_out_of_order_waits_for_what_is_before_it() -> None:
    script = Script()
    connection = script.connect()
    assert script.inject("FP.", 4, 1, b"def") == [". 1:1 1"]
    assert connection.state is State.ESTABLISHED
    assert script.inject("P.", 1, 1, b"abc") == [". 1:1 8"]
    assert connection.state is State.CLOSE_WAIT
    assert connection.read(10) == b"abcdef"
    assert connection.at_eof


@pytest.mark.requirement("RFC 9293", "MUST-13")
def test_time_wait_acknowledges_a_fin_again_and_starts_anew() -> None:
    """Section 3.10.7.4, eighth; MUST-13."""
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    script.inject("F.", 1, 2)
    script.wait(50 * SECOND)
    assert script.inject("F.", 1, 2) == [". 2:2 2"]
    script.wait(50 * SECOND)
    assert connection.state is State.TIME_WAIT
    script.wait(10 * SECOND)
    assert connection.state is State.CLOSED


def in_time_wait(config: TcpConfig, syn: tuple[Timestamps, ...] = ()) -> tuple[Script, int]:
    script = Script(config)
    script.listen()
    script.inject("S", 0, options=(MaximumSegmentSize(1460), *syn))
    script.options = syn
    script.inject(".", 1, 1)
    script.connection.shutdown()
    script.out()
    script.inject("F.", 1, 2)
    assert script.connection.state is State.TIME_WAIT
    script.options = ()
    base = script.base
    assert base is not None
    return script, base


@pytest.mark.requirement("RFC 9293", "MAY-2")
def test_a_new_syn_ends_time_wait() -> None:
    """Section 3.10.7.4, fourth: SYN above RCV.NXT; the ISN lies above the old SND.NXT."""
    script, old = in_time_wait(bare())
    assert script.inject("S", 2) == [". 2:2 2"]  # an old one
    script.base = None
    assert script.inject("S", 3) == ["S. 0:0 4"]
    assert 0 < (script.last[0].seq - old) & 0xFFFF_FFFF < 1 << 31


@pytest.mark.requirement("RFC 9293", "SHLD-4")
def test_a_syn_with_a_later_timestamp_ends_time_wait() -> None:
    """RFC 6191, section 2."""
    script, old = in_time_wait(TcpConfig(sack=False), (Timestamps(1000, 0),))
    script.base = None
    assert script.inject("S", -500, options=(Timestamps(1001, 0),)) == ["S. 0:0 4294966797"]
    assert 0 < (script.last[0].seq - old) & 0xFFFF_FFFF < 1 << 31


@pytest.mark.requirement("RFC 9293", "SHLD-4")
@pytest.mark.parametrize("offered", [True, False])
def test_timestamps_tell_a_new_connection_from_one_without_them(*, offered: bool) -> None:
    """RFC 6191, section 2: if the new connection uses them, its SYN may have any number."""
    script, old = in_time_wait(TcpConfig(sack=False, timestamps=offered))
    script.base = None
    answer = script.inject("S", -500, options=(Timestamps(5, 0),))
    if offered:
        assert answer == ["S. 0:0 4294966797"]
        assert 0 < (script.last[0].seq - old) & 0xFFFF_FFFF < 1 << 31
    else:
        assert answer[0].startswith(". ")
        assert script.connection.state is State.TIME_WAIT


def test_without_a_listener_a_new_syn_does_not_end_time_wait() -> None:
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    script.inject("F.", 1, 2)
    assert script.inject("S", 3) == [". 2:2 2"]
    assert connection.state is State.TIME_WAIT


@pytest.mark.requirement("RFC 9293", "SHLD-4")
def test_an_old_syn_does_not_end_time_wait() -> None:
    script, _ = in_time_wait(TcpConfig(sack=False), (Timestamps(1000, 0),))
    assert script.inject("S", 3, options=(Timestamps(999, 0),)) == [". 2:2 2"]
    assert script.connection.state is State.TIME_WAIT


@pytest.mark.requirement("RFC 9293", "SHLD-3")
def test_close_with_octets_unread_resets() -> None:
    """Section 3.6.1 (RFC 2525, section 2.17): the peer must learn that data was lost."""
    script = Script()
    connection = script.connect()
    script.inject("P.", 1, 1, b"unread")
    connection.close()
    assert script.out() == ["R. 1:1 7"]
    end = script.ending()
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind is ErrorKind.ABORTED


@pytest.mark.requirement("RFC 9293", "MAY-1", "SHLD-3")
def test_data_after_close_resets() -> None:
    """Section 3.6.1: MAY-1, SHLD-3."""
    script = Script()
    connection = script.connect()
    connection.close()
    assert script.out() == ["F. 1:1 1"]
    assert script.inject("P.", 1, 2, b"late") == ["R. 2:2 1"]
    end = script.ending()
    assert end is not None
    assert end.failure is not None


def test_a_closed_connection_leaves_fin_wait_2_by_itself() -> None:
    """Section 3.10.8, and Linux' tcp_fin_timeout."""
    script = Script()
    connection = script.connect()
    connection.close()
    script.out()
    script.inject(".", 1, 2)
    assert connection.state is State.FIN_WAIT_2
    script.wait(60 * SECOND)
    assert connection.state is State.CLOSED


def test_a_half_closed_one_stays_in_fin_wait_2() -> None:
    script = Script()
    connection = script.connect()
    connection.shutdown()
    script.out()
    script.inject(".", 1, 2)
    script.wait(10_000 * SECOND)
    assert connection.state is State.FIN_WAIT_2
    connection.close()
    script.out()
    script.wait(60 * SECOND)
    assert connection.state is State.CLOSED


def established(script: Script) -> TcpConnection:
    return script.connect()


def syn_received(script: Script) -> TcpConnection:
    script.listen()
    script.inject("S", 0)
    return script.connection


def fin_wait_1(script: Script) -> TcpConnection:
    connection = script.connect()
    connection.shutdown()
    script.out()
    return connection


def fin_wait_2(script: Script) -> TcpConnection:
    connection = fin_wait_1(script)
    script.inject(".", 1, 2)
    return connection


def close_wait(script: Script) -> TcpConnection:
    connection = script.connect()
    script.inject("F.", 1, 1)
    return connection


@pytest.mark.parametrize("reach", [established, syn_received, fin_wait_1, fin_wait_2, close_wait])
def test_abort_sends_a_reset(reach: object) -> None:
    """Section 3.10.5."""
    script = Script()
    connection = reach(script)  # type: ignore[operator]
    connection.abort()
    (reset,) = script.out()
    assert reset.startswith("R.")
    assert connection.state is State.CLOSED
    assert script.endpoint.connection(FLOW) is None


def test_second_abort_does_not_take_the_reset_back() -> None:
    script = Script()
    connection = established(script)
    connection.abort()
    connection.abort()
    (reset,) = script.out()
    assert reset.startswith("R.")


def closing(script: Script) -> TcpConnection:
    connection = fin_wait_1(script)
    script.inject("F.", 1, 1)
    return connection


def last_ack(script: Script) -> TcpConnection:
    connection = close_wait(script)
    connection.shutdown()
    script.out()
    return connection


def time_wait(script: Script) -> TcpConnection:
    connection = fin_wait_2(script)
    script.inject("F.", 1, 2)
    return connection


def syn_sent(script: Script) -> TcpConnection:
    connection = script.open()
    script.out()
    return connection


@pytest.mark.parametrize("reach", [syn_sent, closing, last_ack, time_wait])
def test_abort_without_a_reset(reach: object) -> None:
    """Section 3.10.5."""
    script = Script()
    connection = reach(script)  # type: ignore[operator]
    connection.abort()
    assert script.out() == []
    assert connection.state is State.CLOSED
    assert script.ending() is not None


@pytest.mark.requirement("RFC 9293", "MUST-12")
@pytest.mark.parametrize(
    "reach", [established, fin_wait_1, fin_wait_2, close_wait, closing, last_ack, time_wait]
)
def test_a_reset_ends_it_at_once(reach: object) -> None:
    """Section 3.10.7.4, second."""
    script = Script()
    connection = reach(script)  # type: ignore[operator]
    assert script.inject("R", connection.receiver.next + 1) == []
    assert connection.state is State.CLOSED
    end = script.ending()
    assert end is not None
    expected = None if reach is time_wait else ErrorKind.RESET
    assert (end.failure.kind if end.failure else None) is expected


def test_nothing_can_be_sent_after_shutdown() -> None:
    script = Script()
    connection = script.connect()
    connection.shutdown()
    with pytest.raises(BrokenPipeError):
        connection.send(b"x")
    assert connection.room == 0


def test_what_arrived_before_a_reset_is_still_there() -> None:
    script = Script()
    connection = script.connect()
    script.inject("P.", 1, 1, b"data")
    script.inject("R", 5)
    assert connection.read(10) == b"data"
    with pytest.raises(BrokenPipeError, match="reset"):
        connection.send(b"x")


@pytest.mark.requirement("RFC 9293", "MUST-20", "MUST-21")
def test_a_peer_that_has_gone_is_noticed() -> None:
    """Section 3.8.3: R2."""
    script = Script(bare(retries=4))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    assert len(script.wait(60 * SECOND)) == 4
    end = script.ending()
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind is ErrorKind.TIMED_OUT


@pytest.mark.requirement("RFC 9293", "SHLD-2")
def test_a_reset_may_have_data() -> None:
    """RFC 9293, section 3.5.3: the data may explain the reset; the stack ignores them."""
    script = Script()
    connection = script.connect()
    assert script.inject("R", 1, payload=b"why") == []
    assert connection.state is State.CLOSED
    assert connection.read(100) == b""
