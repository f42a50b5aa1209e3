"""RFC 5961 and RFC 5927: what somebody off the path can do."""

from __future__ import annotations

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import SOFT, IcmpError, IcmpKind
from testbed.packet.options import MaximumSegmentSize, SackPermitted, Timestamps, find
from testbed.packet.segment import ACK, SYN, Segment
from testbed.stack.connection import Closed, ErrorKind
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.state import State

from .script import FLOW, MS, SECOND, Script, bare


def test_a_reset_that_does_not_fit_exactly_is_challenged() -> None:
    """RFC 5961, section 3.2."""
    script = Script()
    connection = script.connect()
    assert script.inject("R", 2) == [". 1:1 1"]
    assert script.inject("R", 60_000) == [". 1:1 1"]
    assert connection.state is State.ESTABLISHED
    assert script.inject("R", 1) == []
    assert connection.state is State.CLOSED


def test_a_reset_outside_the_window_is_dropped() -> None:
    script = Script(bare(receive_buffer=20_000))
    connection = script.connect()
    assert script.inject("R", 30_000) == []
    assert script.inject("R", 0) == []
    assert connection.state is State.ESTABLISHED


@pytest.mark.parametrize("seq", [0, 1, 100, 5_000_000])
def test_a_syn_is_challenged(seq: int) -> None:
    """RFC 5961, section 4.2: with any sequence number."""
    script = Script()
    connection = script.connect()
    assert script.inject("S", seq) == [". 1:1 1"]
    assert connection.state is State.ESTABLISHED


@pytest.mark.requirement("RFC 9293", "MAY-12")
def test_an_ack_far_off_is_challenged_and_its_data_dropped() -> None:
    """RFC 5961, section 5.2."""
    script = Script()
    connection = script.connect()
    assert script.inject("P.", 1, 5000, b"evil") == [". 1:1 1"]
    assert script.inject("P.", 1, -100_000, b"evil") == [". 1:1 1"]
    assert connection.readable == 0
    script.inject("P.", 1, -60_000, b"fine")
    assert connection.readable == 4


def test_the_timestamp_of_a_segment_with_an_impossible_ack_is_not_kept() -> None:
    """RFC 5961, section 5.2, drops the segment: its TSval would make PAWS refuse the peer's own."""
    script = Script(TcpConfig(sack=False, window_scaling=False))
    connection = script.accept((Timestamps(1000, 0),))
    assert script.inject("F.", 1, 9999, options=(Timestamps(500_000, 0),)) == [". 1:1 1"]
    assert find(script.last[0].options, Timestamps).echo == 1000
    script.inject("P.", 1, 1, b"mine", options=(Timestamps(1001, 0),))
    assert connection.read(10) == b"mine"


def test_challenges_are_limited() -> None:
    """RFC 5961, section 7: for each connection, so that a number that is shared tells nothing."""
    script = Script(bare(challenge_acks_per_second=100))
    script.connect()
    assert sum(len(script.inject("R", 2)) for _ in range(500)) == 100
    script.now += SECOND
    assert script.inject("R", 2) == [". 1:1 1"]


def test_blind_resets_starve_no_keep_alive() -> None:
    """Neither that of the same connection nor that of others."""
    script = Script()
    script.connect()
    for _ in range(500):
        script.inject("R", 2)
    assert script.inject(".", 0, 1) == [". 1:1 1"]


def test_keep_alives_of_many_connections_are_all_answered() -> None:
    endpoint = TcpEndpoint(TcpConfig(), b"k" * 16)
    endpoint.listen(FLOW.local)
    peers = [Address("10.0.0.2", port) for port in range(1, 3001)]

    def send(peer: Address, flags: int, seq: int, ack: int) -> Segment:
        segment = Segment(
            source=peer, destination=FLOW.local, seq=seq, ack=ack, flags=flags, window=1000
        )
        endpoint.receive(segment, SECOND)
        (answer,) = endpoint.segments_to_send(SECOND) or (segment,)
        return answer

    numbers = {peer: (send(peer, SYN, 7, 0).seq + 1) & 0xFFFF_FFFF for peer in peers}
    for peer, number in numbers.items():
        send(peer, ACK, 8, number)
    for peer, number in numbers.items():
        assert send(peer, ACK, 7, number).destination == peer


def icmp(script: Script, kind: IcmpKind, seq: int, mtu: int = 0) -> None:
    assert script.base is not None
    error = IcmpError(kind=kind, flow=FLOW, seq=(script.base + seq) & 0xFFFF_FFFF, mtu=mtu)
    script.endpoint.receive_icmp(error, script.now)


def ending(script: Script) -> ErrorKind | None:
    (closed,) = [event for event in script.events if isinstance(event, Closed)]
    return closed.failure.kind if closed.failure else None


@pytest.mark.requirement("RFC 9293", "MUST-54", "SHLD-26")
@pytest.mark.parametrize(("kind", "failure"), [
    (IcmpKind.PORT_UNREACHABLE, ErrorKind.REFUSED),
    (IcmpKind.PROHIBITED, ErrorKind.UNREACHABLE),
])  # fmt: skip
def test_a_hard_error_ends_an_attempt(kind: IcmpKind, failure: ErrorKind) -> None:
    """As in Linux; RFC 9293, section 3.9.2.2, SHLD-26."""
    script = Script()
    script.open()
    script.out()
    icmp(script, kind, 0)
    script.out()
    assert ending(script) is failure
    assert script.endpoint.connection(FLOW) is None


@pytest.mark.requirement("RFC 9293", "MUST-56")
@pytest.mark.parametrize(("kind", "failure"), [
    (IcmpKind.UNREACHABLE, ErrorKind.UNREACHABLE),
    (IcmpKind.TIME_EXCEEDED, ErrorKind.UNREACHABLE),
    (IcmpKind.PARAMETER_PROBLEM, ErrorKind.PROTOCOL),
])  # fmt: skip
def test_a_soft_error_does_not_end_an_attempt(kind: IcmpKind, failure: ErrorKind) -> None:
    """RFC 9293, MUST-56.  If no answer ever comes, the error is reported as the reason."""
    script = Script()
    connection = script.open()
    script.out()
    icmp(script, kind, 0)
    assert script.out() == []
    assert connection.state is State.SYN_SENT
    script.wait(SECOND)
    script.inject("S.", 0, 1)
    assert connection.state is State.ESTABLISHED
    other = Script()
    other.open()
    other.out()
    icmp(other, kind, 0)
    other.wait(300 * SECOND)
    assert ending(other) is failure


@pytest.mark.requirement("RFC 9293", "SHLD-26")
@pytest.mark.parametrize("kind", list(IcmpKind))
def test_only_a_hard_error_ends_what_a_peer_has_begun(kind: IcmpKind) -> None:
    """RFC 5461, section 4.1: SYN-RECEIVED is not synchronised either; there is no event."""
    script = Script()
    script.listen()
    script.inject("S", 0)
    icmp(script, kind, 0)
    assert script.out() == []
    hard = kind not in (IcmpKind.TOO_BIG, *SOFT)
    assert (script.endpoint.connection(FLOW) is None) is hard
    assert script.events == []


@pytest.mark.parametrize(("seq", "counted"), [(0, 1), (1, 0), (3, 0), (4, 1)])
def test_an_error_about_a_segment_that_is_not_in_flight_is_counted(seq: int, counted: int) -> None:
    """RFC 5927, section 4.1, and Linux's counter."""
    script = Script()
    connection = script.connect()
    connection.send(b"abc")
    script.out()
    icmp(script, IcmpKind.UNREACHABLE, seq)
    assert script.endpoint.counters.get("TcpExtOutOfWindowIcmps", 0) == counted
    assert (connection.soft_error is None) is bool(counted)


@pytest.mark.requirement("RFC 9293", "MUST-56")
@pytest.mark.parametrize("kind", [IcmpKind.PORT_UNREACHABLE, IcmpKind.UNREACHABLE])
def test_no_error_ends_a_connection(kind: IcmpKind) -> None:
    """RFC 5927, section 5.2: hard errors are soft ones; the reason is kept for later."""
    script = Script(bare(retries=2))
    connection = script.connect()
    connection.send(b"x")
    script.out()
    icmp(script, kind, 1)
    assert connection.state is State.ESTABLISHED
    script.wait(60 * SECOND)
    assert ending(script) is not ErrorKind.TIMED_OUT


def test_an_error_about_what_is_not_outstanding_is_not_believed() -> None:
    """RFC 5927, section 4.1."""
    script = Script(TcpConfig(timestamps=False, window_scaling=False))
    connection = script.connect((SackPermitted(),))
    connection.send(b"x" * 14600)
    script.out()
    icmp(script, IcmpKind.TOO_BIG, 50_000, mtu=600)
    icmp(script, IcmpKind.TOO_BIG, 0, mtu=600)
    assert connection.mss == 1460
    assert script.out() == []


def test_no_segment_without_data_is_too_big() -> None:
    """RFC 5927, section 4.1: nothing is outstanding, or only SYN."""
    script = Script()
    script.open()
    script.out()
    icmp(script, IcmpKind.TOO_BIG, 0, mtu=600)
    assert script.out() == []
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(1460),))
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=600)
    assert script.connection.mss == 1460


@pytest.mark.requirement("RFC 9293", "MUST-16")
def test_a_smaller_path_mtu() -> None:
    """RFC 1191, section 6.4: what was too large is sent again at once, smaller."""
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 2920)
    script.out()
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=1000)
    assert connection.mss == 960
    assert script.out() == [". 1:961 1", ". 961:1461 1", ". 1461:2421 1", "P. 2421:2921 1"]
    script.now += 50 * MS
    script.inject(".", 1, 2921)
    connection.send(b"y" * 1000)
    assert script.out() == [". 2921:3881 1", "P. 3881:3921 1"]


def test_a_path_mtu_never_grows_and_has_a_least_value() -> None:
    """RFC 5927, section 7.2; RFC 1191, section 3: every IPv4 path takes 68 octets."""
    script = Script()
    connection = script.connect()
    connection.send(b"x")
    script.out()
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=9000)
    assert connection.mss == 1460
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=296)
    assert connection.mss == 256
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=20)
    assert connection.mss == 28


def test_a_path_mtu_below_576() -> None:
    """RFC 1191, section 3: it is not a black hole."""
    script = Script()
    connection = script.connect()
    connection.send(b"x" * 300)
    script.out()
    icmp(script, IcmpKind.TOO_BIG, 1, mtu=128)
    assert script.out() == [". 1:89 1", ". 89:177 1", ". 177:265 1", "P. 265:301 1"]


def test_a_router_that_does_not_say_its_mtu() -> None:
    """RFC 1191, section 5: the next lower of the usual values is tried."""
    script = Script()
    connection = script.connect()
    connection.send(b"x")
    script.out()
    for mtu in (1492, 1006, 508, 296, 68, 68):
        icmp(script, IcmpKind.TOO_BIG, 1)
        assert connection.mss == mtu - 40


def test_an_mtu_that_no_link_of_ipv6_has_is_not_believed() -> None:
    """RFC 8201, section 4: a report of less than 1280 octets is discarded."""
    flow = Flow(Address("2001:db8::1", 1000), Address("2001:db8::2", 2000))
    script = Script(flow=flow)
    connection = script.connect()
    connection.send(b"x")
    script.out()
    assert script.base is not None
    for mtu, mss in ((0, 1440), (600, 1440), (1279, 1440), (1280, 1220)):
        error = IcmpError(kind=IcmpKind.TOO_BIG, flow=flow, seq=script.base + 1, mtu=mtu)
        script.endpoint.receive_icmp(error, script.now)
        assert connection.mss == mss
