"""RFC 9293, sections 3.5 and 3.10.7.1 to 3.10.7.3."""

from __future__ import annotations

import errno

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.segment import SYN
from testbed.stack.connection import Closed, Connected, ErrorKind
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.state import State

from .network import Network, transfer
from .script import FLOW, MS, SECOND, Script, bare


def failure(script: Script) -> ErrorKind | None:
    (closed,) = [event for event in script.events if isinstance(event, Closed)]
    return closed.failure.kind if closed.failure else None


def test_active_open() -> None:
    """Section 3.5, figure 6."""
    script = Script()
    connection = script.open()
    assert connection.state is State.SYN_SENT
    assert script.out() == ["S 0:0"]
    assert script.inject("S.", 0, 1) == [". 1:1 1"]
    assert connection.state is State.ESTABLISHED
    assert script.events == [Connected()]


def test_passive_open() -> None:
    script = Script()
    script.listen()
    assert script.inject("S", 0) == ["S. 0:0 1"]
    assert script.events == []
    assert script.connection.state is State.SYN_RECEIVED
    assert script.inject(".", 1, 1) == []
    assert script.events == [Connected()]
    assert script.connection.state is State.ESTABLISHED


@pytest.mark.requirement("RFC 9293", "MUST-10")
def test_simultaneous_open() -> None:
    """Section 3.5, figure 7."""
    script = Script()
    connection = script.open()
    script.out()
    assert script.inject("S", 0) == ["S. 0:0 1"]
    assert connection.state is State.SYN_RECEIVED
    assert script.inject("S.", 0, 1) == [". 1:1 1"]
    assert connection.state is State.ESTABLISHED
    assert script.events == [Connected()]


@pytest.mark.requirement("RFC 9293", "MUST-14", "MAY-3")
def test_the_options_of_a_syn_are_those_of_linux() -> None:
    script = Script(TcpConfig())
    script.open()
    script.out()
    (syn,) = script.last
    assert [type(option) for option in syn.options] == [
        MaximumSegmentSize,
        SackPermitted,
        Timestamps,
        WindowScale,
    ]
    assert find(syn.options, MaximumSegmentSize).mss == 1460
    assert syn.window == 65535


@pytest.mark.requirement("RFC 9293", "SHLD-5", "MUST-67")
def test_the_mss_of_ipv6_is_less() -> None:
    """Section 3.7.1."""
    flow = Flow(Address("fd00::1", 1000), Address("fd00::2", 2000))
    script = Script(flow=flow)
    script.open()
    script.out()
    assert script.last[0].options == (MaximumSegmentSize(1440),)


@pytest.mark.requirement("RFC 9293", "MUST-15")
@pytest.mark.parametrize(("flow", "octets"), [
    (FLOW, 536),
    (Flow(Address("fd00::1", 1000), Address("fd00::2", 2000)), 1220),
])  # fmt: skip
def test_without_an_mss_option_the_default_is_assumed(flow: Flow, octets: int) -> None:
    """Section 3.7.1, MUST-15."""
    script = Script(flow=flow)
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1)
    assert connection.mss == octets


def test_only_what_both_offer_is_used() -> None:
    """RFC 7323, sections 2.2 and 3.2; RFC 2018, section 2."""
    script = Script(TcpConfig())
    script.listen()
    script.inject("S", 0, options=(MaximumSegmentSize(1400),))
    assert script.last[0].options == (MaximumSegmentSize(1460),)
    script.inject(".", 1, 1, win=1000)
    assert script.connection.send_window == 1000


def test_a_shift_of_nothing_is_offered_too() -> None:
    """RFC 7323, section 2.2: without the option in SYN,ACK the peer would not scale either."""
    script = Script(TcpConfig(timestamps=False, sack=False, receive_buffer=40_000))
    script.listen()
    script.inject("S", 0, options=(WindowScale(7),))
    assert find(script.last[0].options, WindowScale) == WindowScale(0)
    script.inject(".", 1, 1, win=100)
    assert script.connection.send_window == 12_800


@pytest.mark.requirement("RFC 9293", "REC-1")
def test_windows_of_syns_are_never_scaled() -> None:
    """RFC 7323, section 2.2."""
    script = Script(TcpConfig(timestamps=False, sack=False))
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, win=2000, options=(MaximumSegmentSize(1460), WindowScale(7)))
    assert connection.send_window == 2000
    assert script.last[0].window == (128 << 10) >> 7
    script.inject(".", 1, 1, win=2000)
    assert connection.send_window == 2000 << 7


def test_a_shift_above_14_counts_as_14() -> None:
    """RFC 7323, section 2.3."""
    script = Script(TcpConfig(timestamps=False, sack=False))
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, options=(WindowScale(200),))
    script.inject(".", 1, 1, win=1)
    assert connection.send_window == 1 << 14


def test_refused() -> None:
    """Section 3.10.7.3, second."""
    script = Script()
    script.open()
    script.out()
    assert script.inject("R.", 0, 1) == []
    assert failure(script) is ErrorKind.REFUSED
    assert script.endpoint.connection(FLOW) is None


def test_a_reset_that_acknowledges_nothing_of_ours_is_ignored() -> None:
    """Section 3.10.7.3, first and second."""
    script = Script()
    connection = script.open()
    script.out()
    assert script.inject("R.", 0, 77) == []
    assert script.inject("R", 0) == []
    assert connection.state is State.SYN_SENT


def test_an_ack_of_another_incarnation_is_answered_by_reset() -> None:
    """Section 3.5, figure 9: recovery from an old duplicate SYN; 3.10.7.3, first."""
    script = Script()
    connection = script.open()
    script.out()
    assert script.inject("S.", 0, 5000) == ["R 5000:5000"]
    assert connection.state is State.SYN_SENT
    assert script.inject(".", 300, 100) == ["R 100:100"]  # figure 10: half-open


@pytest.mark.requirement("RFC 9293", "MUST-19", "MUST-22")
def test_syn_is_repeated_with_back_off_and_given_up() -> None:
    """RFC 6298, sections 2.1 and 5.5; Linux' tcp_syn_retries."""
    script = Script(bare(syn_retries=3))
    script.open()
    script.out()
    assert script.times(60 * SECOND) == [(1000, "S 0:0"), (3000, "S 0:0"), (7000, "S 0:0")]
    assert failure(script) is ErrorKind.TIMED_OUT


def test_first_timeouts_of_a_syn_may_be_even() -> None:
    """As with tcp_syn_linear_timeouts of Linux; data backs off from its first timeout on."""
    script = Script(bare(syn_linear_timeouts=2))
    connection = script.open()
    script.out()
    sent = script.times(9 * SECOND)
    assert sent == [(second * 1000, "S 0:0") for second in (1, 2, 3, 5, 9)]
    script.inject("S.", 0, 1)
    connection.send(b"data")
    script.out()
    (first, _), (second, _), (third, _), *_ = script.times(60 * SECOND)
    assert third - second == 2 * (second - first)


@pytest.mark.requirement("RFC 9293", "MUST-23")
def test_syn_is_not_given_up_within_three_minutes() -> None:
    """RFC 9293, MUST-23."""
    script = Script()
    script.open()
    script.out()
    script.wait(180 * SECOND)
    assert script.connection.state is State.SYN_SENT
    script.wait(120 * SECOND)
    assert failure(script) is ErrorKind.TIMED_OUT


def test_after_a_lost_syn_the_timeout_begins_with_3_seconds() -> None:
    """RFC 6298, section 5.7."""
    script = Script()
    connection = script.open()
    script.out()
    script.wait(1500 * MS)
    script.inject("S.", 0, 1)
    assert connection.rto_ns == 3 * SECOND
    assert connection.cwnd == 10 * 536


def test_after_two_lost_syns_there_is_one_segment_to_begin_with() -> None:
    """RFC 6928, section 2: not after one, as a round trip may take longer than a second."""
    script = Script()
    connection = script.open()
    script.out()
    script.wait(4 * SECOND)
    script.inject("S.", 0, 1)
    assert connection.cwnd == 536


def test_a_syn_that_comes_again_is_answered_again() -> None:
    script = Script()
    script.listen()
    assert script.inject("S", 0) == ["S. 0:0 1"]
    assert script.inject("S", 0) == ["S. 0:0 1"]
    assert script.inject(".", 1, 1) == []
    assert script.events == [Connected()]


def test_a_syn_that_another_has_overtaken_is_answered_by_syn_ack() -> None:
    """Its old timestamp matters no more than the one of a copy: extensions need the options."""
    script = Script(TcpConfig(sack=False))
    script.listen()
    first, second = ((Timestamps(value, 0),) for value in (1000, 2000))
    assert script.inject("S", 0, options=second) == ["S. 0:0 1"]
    assert script.inject("S", 0, options=first) == ["S. 0:0 1"]


@pytest.mark.requirement("RFC 9293", "MUST-22")
def test_syn_ack_is_repeated_and_given_up_quietly() -> None:
    script = Script(bare(syn_ack_retries=2))
    script.listen()
    script.inject("S", 0)
    assert script.times(60 * SECOND) == [(1000, "S. 0:0 1"), (3000, "S. 0:0 1")]
    assert script.events == []
    assert script.endpoint.connection(FLOW) is None


def test_a_wrong_ack_in_syn_received_is_answered_by_reset() -> None:
    """Section 3.10.7.4, fifth."""
    script = Script()
    script.listen()
    script.inject("S", 0)
    assert script.inject(".", 1, 9) == ["R 9:9"]
    assert script.connection.state is State.SYN_RECEIVED


@pytest.mark.requirement("RFC 9293", "MUST-11")
def test_a_reset_in_syn_received_frees_the_place() -> None:
    """Section 3.10.7.4, second."""
    script = Script()
    script.listen(backlog=1)
    script.inject("S", 0)
    assert script.inject("R", 1) == []
    assert script.endpoint.connection(FLOW) is None
    assert script.events == []
    script.base = None
    assert script.inject("S", 0) == ["S. 0:0 1"]


def test_a_full_backlog_drops_syns_where_there_are_no_cookies() -> None:
    script = Script(bare(syn_cookies=False))
    script.listen(backlog=1)
    script.inject("S", 0)
    first = script.flow
    script.flow = Flow(FLOW.local, Address("10.0.0.3", 9))
    assert script.inject("S", 0) == []
    script.flow = first
    script.inject(".", 1, 1)
    script.flow = Flow(FLOW.local, Address("10.0.0.3", 9))
    script.base = None
    assert script.inject("S", 0) == ["S. 0:0 1"]


@pytest.mark.parametrize(("flags", "ack", "answer"), [
    ("S", None, ["R. 0:0 11"]),
    (".", 5, ["R 5:5"]),
    ("F.", 5, ["R 5:5"]),
    ("R", None, []),
    ("R.", 5, []),
])  # fmt: skip
def test_a_closed_port(flags: str, ack: int | None, answer: list[str]) -> None:
    """Section 3.10.7.1."""
    script = Script()
    script.base = 0
    assert script.inject(flags, 10, ack) == answer


@pytest.mark.parametrize(("flags", "ack", "answer"), [
    (".", 5, ["R 5:5"]),
    ("S.", 5, ["R 5:5"]),
    ("F", None, []),
    ("", None, []),
    ("R", None, []),
])  # fmt: skip
def test_a_listener_and_what_is_no_syn(flags: str, ack: int | None, answer: list[str]) -> None:
    """Section 3.10.7.2."""
    script = Script()
    script.listen()
    script.base = 0
    assert script.inject(flags, 10, ack) == answer


def test_data_sent_before_the_handshake_ends_goes_with_its_end() -> None:
    """Section 3.10.2: SEND in SYN-SENT queues the data."""
    script = Script()
    connection = script.open()
    assert connection.send(b"hello") == 5
    assert script.out() == ["S 0:0"]
    assert script.inject("S.", 0, 1) == ["P. 1:6 1"]


def test_close_before_the_handshake_ends() -> None:
    """Section 3.10.4: CLOSE in SYN-RECEIVED is queued, in SYN-SENT it deletes the TCB."""
    script = Script()
    connection = script.open()
    script.out()
    connection.shutdown()
    assert script.inject("S.", 0, 1) == ["F. 1:1 1"]
    assert connection.state is State.FIN_WAIT_1

    other = Script()
    connection = other.open()
    other.out()
    connection.close()
    assert other.out() == []
    assert failure(other) is None


def test_data_on_a_syn_is_kept() -> None:
    """Section 3.10.7.2: text of a SYN is processed after the handshake."""
    script = Script()
    script.listen()
    assert script.inject("S", 0, payload=b"early") == ["S. 0:0 6"]
    script.inject(".", 6, 1)
    assert script.connection.read(100) == b"early"


@pytest.mark.requirement("RFC 9293", "MUST-41", "MUST-42")
def test_one_connection_of_a_kind_at_a_time() -> None:
    script = Script()
    script.open()
    with pytest.raises(OSError, match="exists already") as caught:
        script.open()
    assert caught.value.errno == errno.EADDRINUSE
    script.listen()
    with pytest.raises(OSError, match="open") as caught:
        script.listen()
    assert caught.value.errno == errno.EADDRINUSE
    script.out()
    script.flow = Flow(FLOW.local, Address("10.0.0.3", 9))
    script.base = None
    assert script.inject("S", 0) == ["S. 0:0 1"]  # the one that was open still is


def test_a_closed_listener_refuses_and_its_connections_stay() -> None:
    script = Script()
    listener = script.endpoint.listen(Address("0.0.0.0", 1000))
    script.inject("S", 0)
    script.inject(".", 1, 1)
    listener.close()
    assert script.inject("P.", 1, 1, b"x") == [". 1:1 2"]
    script.flow = Flow(FLOW.local, Address("10.0.0.3", 9))
    script.base = 0
    assert script.inject("S", 0) == ["R. 0:0 1"]


@pytest.mark.requirement("RFC 8684", "3-SHOULD-1")
@pytest.mark.requirement("RFC 9293", "MUST-8", "SHLD-1")
def test_isns_grow_with_time_and_differ_between_flows() -> None:
    """RFC 6528, section 3."""

    def isn(flow: Flow, wait: int = 0) -> int:
        script = Script(flow=flow)
        script.now += wait
        script.open()
        script.out()
        return script.last[0].seq

    other = Flow(FLOW.local, Address("10.0.0.3", 9))
    assert (isn(FLOW, 4 * MS) - isn(FLOW)) & 0xFFFF_FFFF == 1000
    assert isn(other) != isn(FLOW)


@pytest.mark.requirement("RFC 9293", "MUST-9")
def test_isns_of_one_secret_tell_nothing_of_another() -> None:
    """RFC 9293, section 3.4.1: F needs a key, so what one host shows is of no use for another."""

    def isn(secret: bytes, flow: Flow) -> int:
        endpoint = TcpEndpoint(bare(), secret)
        endpoint.connect(flow, SECOND)
        (syn,) = endpoint.segments_to_send(SECOND)
        return syn.seq

    other = Flow(FLOW.local, Address("10.0.0.3", 9))
    here, there = (isn(secret, other) - isn(secret, FLOW) for secret in (b"k" * 16, b"l" * 16))
    assert (here - there) & 0xFFFF_FFFF


@pytest.mark.requirement("RFC 9293", "MUST-65")
def test_the_mss_is_on_syns_only() -> None:
    """RFC 9293, section 3.2."""
    network = Network()
    transfer(network, b"x" * 5000, b"y" * 5000)
    with_mss = [one for _, one in network.transcript if find(one.options, MaximumSegmentSize)]
    assert len(with_mss) == 2
    assert all(one.flags & SYN for one in with_mss)


@pytest.mark.requirement("RFC 9293", "MUST-11")
def test_a_reset_of_a_simultaneous_open_is_told() -> None:
    """Section 3.10.7.4, second: refused, where a passive open just listens on."""
    script = Script()
    script.open()
    script.out()
    script.inject("S", 0)
    assert script.connection.state is State.SYN_RECEIVED
    script.inject("R", 1)
    assert failure(script) is ErrorKind.REFUSED
