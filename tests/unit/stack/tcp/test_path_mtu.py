"""RFC 1191, RFC 8201: all connections of a path keep to the MTU that a router has reported."""

from __future__ import annotations

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.options import MaximumSegmentSize
from testbed.stack.connection import Closed
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.path_mtu import PathMtus

from .script import FLOW, MS, MSS, PEER, SECOND, Script

MINUTE = 60 * SECOND


class Paths(Script):
    """An endpoint with connections to several ports and hosts."""

    def dial(self, remote: Address) -> TcpConnection:
        """Connect to an address."""
        self.base = None
        self.flow = Flow(FLOW.local, remote)
        return self.connect()

    def too_big(self, mtu: int, seq: int = 1) -> None:
        """Report that a segment of the last connection is too big for its path."""
        assert self.base is not None
        number = (self.base + seq) & 0xFFFF_FFFF
        error = IcmpError(kind=IcmpKind.TOO_BIG, flow=self.flow, seq=number, mtu=mtu)
        self.endpoint.receive_icmp(error, self.now)

    def learn(self, mtu: int) -> TcpConnection:
        """Have a connection learn the MTU of its path."""
        connection = self.dial(PEER)
        connection.send(b"x" * 2000)
        self.out()
        self.too_big(mtu)
        self.out()
        self.inject(".", 1, 2001)
        return connection


def port(number: int) -> Address:
    return Address(PEER.host, number)


def test_new_connections_begin_with_the_reported_mtu() -> None:
    """RFC 8201, section 5.2; the MSS option is about this side's link (RFC 6691)."""
    script = Paths()
    assert script.learn(1200).mss == 1160
    connection = script.dial(port(1))
    assert connection.mss == 1160
    assert connection.advertised_mss == MSS
    script.base = None
    script.flow = Flow(FLOW.local, port(2))
    accepted = script.accept()
    assert accepted.mss == 1160
    accepted.send(b"y" * 2000)
    assert script.out() == [". 1:1161 1", "P. 1161:2001 1"]


def test_the_peers_mss_may_be_smaller() -> None:
    script = Paths()
    script.learn(1200)
    script.base = None
    script.flow = Flow(FLOW.local, port(1))
    connection = script.open()
    script.out()
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(500),))
    assert connection.mss == 500


def test_this_sides_mss_may_be_smaller() -> None:
    """TCP_MAXSEG of tcp(7)."""
    script = Paths()
    script.learn(1200)
    script.base = None
    script.flow = Flow(FLOW.local, port(1))
    options = SocketOptions(mss=700)
    connection = script.endpoint.connect(script.flow, script.now, options=options)
    script.out()
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(MSS),))
    assert connection.mss == 700


def test_a_larger_mtu_is_tried_after_ten_minutes() -> None:
    """RFC 1191, section 6.3; RFC 8201, section 5.3."""
    script = Paths()
    script.learn(1200)
    script.now += 10 * MINUTE - SECOND
    assert script.dial(port(1)).mss == 1160
    script.now += SECOND
    assert script.dial(port(2)).mss == MSS


def test_other_connections_of_the_path_keep_to_it() -> None:
    """RFC 8201, section 4: no more reports are to be caused, so what was too large leaves again."""
    script = Paths()
    other = script.dial(port(1))
    other.send(b"x" * 1460)
    script.out()
    waiting, far = script.dial(port(2)), script.dial(Address("10.0.0.3", 2000))
    script.flow = Flow(FLOW.local, port(3))
    opening = script.open()
    script.out()
    ended = script.endpoint.connect(Flow(FLOW.local, port(4)), script.now)
    ended.close()
    script.learn(1200)
    assert [one.mss for one in (other, waiting, far)] == [1160, 1160, MSS]
    assert other.info()["total_retrans"] == 2
    assert opening.segments_sent == 1
    assert not any(isinstance(event, Closed) and event.failure for event in script.events)


def test_a_report_that_is_not_believed_is_not_kept() -> None:
    script = Paths()
    connection = script.dial(PEER)
    connection.send(b"x" * 2000)
    script.out()
    script.too_big(1200, seq=5000)
    script.too_big(9000)
    assert connection.mss == MSS
    assert script.dial(port(1)).mss == MSS


def test_known_paths_are_bounded() -> None:
    """The path of which a report came longest ago is forgotten."""
    paths = PathMtus()
    flows = [Flow(FLOW.local, Address(f"10.1.{n // 256}.{n % 256}", 80)) for n in range(1025)]
    for flow in flows[:1024]:
        paths.learn(flow, 1200, 0)
    paths.learn(flows[0], 1000, MS)
    paths.learn(flows[1024], 1200, MS)
    assert [paths.known(flow, MS) for flow in (*flows[:3], flows[1024])] == [1000, None, 1200, 1200]
