"""Options of one connection: given to connect and listen, and changed later."""

from __future__ import annotations

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse
from testbed.packet.options import MaximumSegmentSize, find
from testbed.packet.segment import SYN
from testbed.stack.connection import Delivered, ErrorKind
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.send_queue import SendQueue
from testbed.stack.tcp.state import State

from .riding import RIDING
from .script import FLOW, MS, MSS, SECOND, Script, bare

QUIET = SocketOptions(keepalive=True, keepalive_idle_ns=10 * SECOND, keepalive_probes=2)


def connected(script: Script, options: SocketOptions) -> TcpConnection:
    connection = script.endpoint.connect(
        script.flow, script.now, RIDING.extension(), options=options
    )
    script.out()
    script.now += 50 * MS
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(MSS),))
    return connection


def accepted(script: Script, options: SocketOptions) -> TcpConnection:
    script.endpoint.listen(script.flow.local, RIDING.acceptor(), options=options)
    script.inject("S", 0, options=(MaximumSegmentSize(MSS),))
    script.now += 50 * MS
    script.inject(".", 1, 1)
    return script.connection


begins = pytest.mark.parametrize("begin", [connected, accepted])


@begins
def test_each_connection_has_its_own(begin: type) -> None:
    script = Script(bare(send_buffer=1000))
    connection = begin(script, SocketOptions(send_buffer=10))
    assert connection.send(bytes(100)) == 10
    connection.set_options(SocketOptions(send_buffer=30))
    assert connection.send(bytes(100)) == 20
    assert script.endpoint.config.send_buffer == 1000


@begins
def test_mss_is_offered_and_kept_to(begin: type) -> None:
    script = Script()
    if begin is connected:
        script.endpoint.connect(FLOW, script.now, options=SocketOptions(mss=500))
        script.out()
    else:
        script.endpoint.listen(FLOW.local, options=SocketOptions(mss=500))
        script.inject("S", 0, options=(MaximumSegmentSize(MSS),))
    offered = find(script.last[0].options, MaximumSegmentSize)
    assert offered.mss == 500
    script = Script()
    connection = begin(script, SocketOptions(mss=500))
    connection.send(bytes(1000))
    script.out()
    assert [len(one.payload) for one in script.last] == [500, 500]


@pytest.mark.requirement("RFC 9293", "MUST-48", "MUST-49", "SHLD-21", "SHLD-22")
@begins
@pytest.mark.parametrize("version", [4, 6])
def test_fields_of_the_ip_header(begin: type, version: int) -> None:
    flow = FLOW if version == 4 else Flow(Address("fd00::1", 1000), Address("fd00::2", 2000))
    script = Script(flow=flow)
    connection = begin(script, SocketOptions(traffic_class=0xB9, hop_limit=3))
    connection.send(b"data")
    script.out()
    packet = emit(script.last[0])
    octet = packet[1] if version == 4 else (packet[0] & 15) << 4 | packet[1] >> 4
    assert octet == 0xB8  # ECN's bits are TCP's own
    assert packet[8 if version == 4 else 7] == 3
    assert (parse(packet).hop_limit, parse(packet).traffic_class) == (3, 0xB8)
    connection.set_options(SocketOptions(traffic_class=0x28, hop_limit=7))
    connection.send(b"more")
    script.wait(SECOND)
    assert (script.last[0].traffic_class, script.last[0].hop_limit) == (0x28, 7)


@begins
def test_syn_has_those_fields_too(begin: type) -> None:
    options = SocketOptions(traffic_class=0xB8, hop_limit=3)
    script = Script()
    if begin is connected:
        script.endpoint.connect(FLOW, script.now, options=options)
        script.out()
    else:
        script.endpoint.listen(FLOW.local, options=options)
        script.inject("S", 0, options=(MaximumSegmentSize(MSS),))
    (syn,) = script.last
    assert syn.flags & SYN
    assert (syn.traffic_class, syn.hop_limit) == (0xB8, 3)


@pytest.mark.requirement("RFC 9293", "MUST-17")
def test_nagle_can_be_turned_off_and_on() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"a")
    assert script.out() == ["P. 1:2 1"]
    connection.send(b"b")
    assert script.out() == []
    connection.set_options(SocketOptions(nodelay=True))
    assert script.out() == ["P. 2:3 1"]
    connection.set_options(SocketOptions(nodelay=False))
    connection.send(b"c")
    assert script.out() == []


def test_cork_holds_small_segments_back() -> None:
    script = Script(bare(nagle=False))
    connection = script.connect()
    connection.set_options(SocketOptions(cork=True))
    connection.send(b"head")
    assert script.out() == []
    connection.send(bytes(MSS))
    assert script.out() == [f". 1:{1 + MSS} 1"]
    connection.set_options(SocketOptions(cork=False))
    assert script.out() == [f"P. {1 + MSS}:{5 + MSS} 1"]


def test_nodelay_pushes_what_a_cork_holds_back() -> None:
    """As in Linux: what is written later waits again."""
    script = Script()
    connection = script.connect()
    connection.set_options(SocketOptions(cork=True))
    connection.send(bytes(40))
    assert script.out() == []
    connection.set_options(SocketOptions(nodelay=True))
    assert script.out() == ["P. 1:41 1"]
    connection.send(bytes(40))
    assert script.out() == []


def test_cork_holds_nothing_back_for_long() -> None:
    """As in Linux: a retransmission timeout, which is 200 ms at least."""
    script = Script(bare(nagle=False))
    connection = script.connect()
    connection.set_options(SocketOptions(cork=True))
    connection.send(b"head")
    assert script.out() == []
    when, what = script.times(SECOND)[0]
    assert what == "P. 1:5 1"
    assert 200 <= when <= 300


def test_cork_does_not_hold_the_end_back() -> None:
    script = Script(bare(nagle=False))
    connection = script.connect()
    connection.set_options(SocketOptions(cork=True))
    connection.send(b"tail")
    connection.shutdown()
    assert script.out() == ["FP. 1:5 1"]


@pytest.mark.requirement("RFC 9293", "MUST-24")
def test_keep_alive_counts_from_what_was_heard_last() -> None:
    script = Script()
    connection = script.connect()
    script.inject(".", 1, 1, b"data")
    script.wait(6 * SECOND)
    connection.set_options(QUIET)
    script.out()
    assert [when for when, _ in script.times(5 * SECOND)] == [4000]
    script.inject(".", 5, 1)
    connection.set_options(SocketOptions(keepalive=False))
    script.out()
    assert script.times(100 * SECOND) == []


@begins
def test_keep_alive_from_the_beginning(begin: type) -> None:
    script = Script()
    connection = begin(script, QUIET)
    assert script.times(11 * SECOND)
    assert connection.config.keepalive_interval_ns == 75 * SECOND


@pytest.mark.requirement("RFC 9293", "MUST-21")
def test_user_timeout_and_limit_of_unsent_data() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"data")
    script.out()
    connection.set_options(SocketOptions(user_timeout_ns=3 * SECOND, notsent_lowat=1))
    script.out()
    script.wait(4 * SECOND)
    end = script.ending()
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind is ErrorKind.TIMED_OUT


def test_close_may_reset() -> None:
    script = Script()
    connection = script.connect()
    connection.set_options(SocketOptions(linger=True))
    connection.send(b"lost")
    connection.close()
    assert script.out() == ["R. 1:1 1"]
    assert connection.state is State.CLOSED


def test_close_does_not_reset_what_both_sides_have_closed() -> None:
    script = Script()
    connection = script.connect()
    connection.set_options(SocketOptions(linger=True))
    script.inject("F.", 1, 1)
    connection.send(b"data")
    assert script.out() == ["P. 1:5 2"]
    connection.shutdown()
    connection.close()
    assert script.out() == ["F. 5:5 2"]
    script.inject(".", 2, 6)
    assert connection.state is State.CLOSED


def test_close_resets_what_was_not_sent() -> None:
    """FIN was asked for, but has not left: the peer still waits."""
    script = Script()
    connection = script.connect()
    connection.set_options(SocketOptions(linger=True))
    script.inject("F.", 1, 1)
    connection.send(b"lost")
    connection.shutdown()
    connection.close()
    assert script.out() == ["R. 1:1 2"]


def test_a_record_ends_its_segment() -> None:
    """MSG_EOR: octets of two records share no segment, not even when they leave again."""
    script = Script()
    connection = connected(script, SocketOptions(nodelay=True))
    connection.send(bytes(MSS + 100), eor=True)
    connection.send(b"a" * 20)
    connection.send(b"b" * 30, eor=True)
    connection.send(b"c" * 40)
    sent = [f". 1:{MSS + 1} 1", f"P. {MSS + 1}:1561 1", "P. 1561:1611 1", "P. 1611:1651 1"]
    assert script.out() == sent
    script.wait(SECOND)
    assert script.inject(".", 1, 1561) == sent[2:]


def test_each_write_may_be_a_record() -> None:
    """The option EOR; one that finds no room for all of it does not end there."""
    script = Script(bare(send_buffer=50))
    connection = connected(script, SocketOptions(nodelay=True, eor=True))
    assert [connection.send(bytes(20)), connection.send(bytes(10))] == [20, 10]
    assert connection.send(bytes(30)) == 20
    assert script.out() == ["P. 1:21 1", "P. 21:31 1", "P. 31:51 1"]
    script.inject(".", 1, 51)
    connection.send(bytes(10))
    connection.set_options(SocketOptions(eor=False))
    connection.send(bytes(10))
    connection.send(bytes(10))
    assert script.out() == ["P. 51:61 1", "P. 61:81 1"]


def test_a_record_that_was_put_back_still_ends() -> None:
    queue = SendQueue()
    queue.append(b"one", None, eor=True)
    queue.append(b"two", None)
    taken = queue.take(10)
    assert (taken, queue.ended_record) == (b"one", True)
    queue.put_back(taken, None)
    assert (queue.run(10), queue.take(10), queue.take(10)) == (3, b"one", b"two")


def test_close_may_linger() -> None:
    """The application learns when the peer has everything; the connection goes on in any case."""
    script = Script()
    connection = connected(script, SocketOptions(linger=True, linger_ns=SECOND))
    connection.send(b"data")
    connection.close()
    assert script.out() == ["FP. 1:5 1"]
    script.inject(".", 1, 5)
    assert Delivered() not in script.events
    assert not connection.delivered
    script.inject(".", 1, 6)
    assert script.events[-1] == Delivered()
    assert connection.delivered


def test_receive_buffer_grows() -> None:
    script = Script(bare(receive_buffer=2000))
    connection = script.connect()
    script.inject(".", 1, 1, b"x" * 1000)
    connection.set_options(SocketOptions(receive_buffer=5000))
    script.inject(".", 1001, 1, b"x" * 1000)
    assert script.last[-1].window == 3000


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (SocketOptions(mss=87), "mss cannot be 87"),
        (SocketOptions(hop_limit=0), "hop_limit cannot be 0"),
        (SocketOptions(traffic_class=256), "traffic_class cannot be 256"),
        (SocketOptions(send_buffer=0), "send_buffer cannot be 0"),
        (SocketOptions(keepalive_probes=-1), "keepalive_probes cannot be -1"),
        (SocketOptions(congestion="none"), "no congestion control 'none'"),
    ],
)
def test_what_an_option_cannot_be(options: SocketOptions, why: str) -> None:
    script = Script()
    with pytest.raises(ValueError, match=why):
        script.endpoint.connect(FLOW, script.now, options=options)
    with pytest.raises(ValueError, match=why):
        script.endpoint.listen(FLOW.local, options=options)
    assert script.out() == []
    script.endpoint.listen(FLOW.local)  # no listener has remained


@pytest.mark.parametrize("options", [SocketOptions(mss=500), SocketOptions(congestion="reno")])
def test_what_counts_from_the_beginning_only(options: SocketOptions) -> None:
    script = Script()
    connection = script.connect()
    with pytest.raises(ValueError, match="after a connection has begun"):
        connection.set_options(options)


def test_congestion_control_of_one_connection() -> None:
    script = Script()
    connection = connected(script, SocketOptions(congestion="reno"))
    assert type(connection.congestion).__name__ == "Reno"
