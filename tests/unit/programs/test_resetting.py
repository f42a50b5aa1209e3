"""Segments to the peers of a killed supervisor, and the end of their connections."""

from __future__ import annotations

import random

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpCapable, MpFastclose
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.programs.flows import Flows, Noting, Peer
from testbed.programs.resetting import Resetter, probes
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from tests.unit.stack.mptcp.network import Network

FLOW = Flow(Address("10.0.1.1", 40000), Address("10.0.1.2", 80))
OTHER = Flow(Address("10.0.1.1", 40001), Address("10.0.1.2", 80))
KEY = 0xFEDC_BA98_7654_3210
S = 1_000_000_000


def answer(flow=FLOW, flags=ACK, seq=1000, ack=2000, options=(), payload=b""):
    """Return a segment of the peer of a flow."""
    return Segment(
        source=flow.remote, destination=flow.local, flags=flags, seq=seq, ack=ack,
        options=options, payload=payload,
    )  # fmt: skip


def resets(resetter):
    return [one for one in resetter.segments_to_send(0) if one.flags & RST]


@pytest.mark.parametrize("expected", [0, 1, 2**30, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("window", [0, 2**30])
def test_one_probe_at_least_is_outside_of_any_window(expected, window):
    """RFC 7323 allows no window greater than 2**30."""
    offsets = [(probe.seq - expected) % 2**32 for probe in probes(FLOW)]
    assert any(offset > window for offset in offsets)
    assert {probe.flags for probe in probes(FLOW)} == {ACK}


def test_peers_are_asked_until_they_have_answered_with_a_reset():
    resetter = Resetter([Peer(FLOW), Peer(OTHER)], 0)
    assert resetter.next_timer() == 0
    resetter.handle_timer(0)
    asked = [one.source for one in resetter.segments_to_send(0)]
    assert asked == [FLOW.local] * 2 + [OTHER.local] * 2
    resetter.receive(answer(FLOW, RST), 1)
    resetter.handle_timer(resetter.next_timer())
    assert {one.source for one in resetter.segments_to_send(0)} == {OTHER.local}
    resetter.receive(answer(OTHER, RST), 2)
    assert resetter.next_timer() is None


def test_silent_peers_are_given_up():
    resetter = Resetter([Peer(FLOW)], 5 * S)
    while (due := resetter.next_timer()) is not None:
        last = due
        resetter.handle_timer(due)
    assert 1 * S < last - 5 * S < 4 * S


def test_the_reset_has_the_number_that_the_peer_expects_and_its_key():
    resetter = Resetter([Peer(FLOW, KEY), Peer(OTHER)], 0)
    resetter.receive(answer(), 0)
    resetter.receive(answer(OTHER, payload=b"data"), 0)
    first, second = resets(resetter)
    assert (first.seq, find(first.options, MpFastclose).receiver_key) == (2000, KEY)
    assert (second.seq, second.options) == (2000, ())


def test_a_peer_that_has_just_opened_a_connection_says_its_key():
    """The supervisor may have been killed before it knew of the connection."""
    resetter = Resetter([Peer(OTHER)], 0)
    resetter.receive(answer(options=(MpCapable(sender_key=KEY, receiver_key=1),)), 0)
    (sent,) = resets(resetter)
    assert find(sent.options, MpFastclose).receiver_key == KEY


def test_a_new_connection_is_refused():
    resetter = Resetter([Peer(OTHER)], 0)
    resetter.receive(answer(flags=SYN, seq=7, ack=0, options=(MpCapable(),)), 0)
    (sent,) = resets(resetter)
    assert (sent.flags, sent.seq, sent.ack, sent.options) == (RST | ACK, 0, 8, ())


class Killed:
    """An endpoint whose supervisor is killed when it has sent so many segments."""

    def __init__(self, host, network, after):
        self._endpoint = host.endpoint
        self._table = Flows()
        self._noting = Noting(host.endpoint, self._table)
        self._network = network
        self._left = after
        self.peers = []
        host.endpoint = self

    def __getattr__(self, name):
        return getattr(self._endpoint, name)

    @property
    def dead(self):
        return isinstance(self._endpoint, Resetter)

    def segments_to_send(self, now):
        segments = self._endpoint.segments_to_send(now)
        if self.dead or len(segments) <= self._left:
            if not self.dead:
                self._left -= len(segments)
                self._noting.sending(segments)
            return segments
        self._noting.sending(segments)  # the last thing that it does
        sent, self._left = segments[: self._left], 0
        self.peers = self._table.read()
        self._endpoint = Resetter(self.peers, now)
        return sent


@pytest.mark.parametrize("paths", [1, 2])
@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 20, 50])
def test_the_peer_s_connection_is_reset_whenever_the_supervisor_is_killed(paths, ours, after):
    """Also over MPTCP, where a RST alone would end one subflow."""
    network = Network(paths, seed=after)
    network.server.endpoint.listen(Address("10.0.1.2", 80))
    host, peer = network.client, network.server
    if ours == "server":
        host, peer = peer, host
    killed = Killed(host, network, after)
    connection = network.connect()
    network.client.send(connection, random.Random(1).randbytes(200_000), close=False)
    network.run(5, until=lambda: killed.dead)
    assert killed.dead
    host.work = lambda: False
    network.run(10)
    if ours == "server" or peer.connections:
        (theirs,) = [connection] if ours == "server" else peer.connections
        failure = peer.failure(theirs)
        assert failure, (failure, killed.peers)
        assert failure.startswith(("connection reset", "connection refused"))
    assert killed.next_timer() is None
    assert not peer.endpoint.tcp.flows


def test_tcp_has_no_keys():
    """A flow of TCP is in the table before its SYN leaves, and no more once it has ended."""
    endpoint = TcpEndpoint(TcpConfig(), b"secret" * 4)
    table = Flows()
    noting = Noting(endpoint, table)
    connection = endpoint.connect(FLOW, 0)
    noting.sending(endpoint.segments_to_send(0))
    assert table.read() == [Peer(FLOW)]
    connection.abort()
    noting.sending(endpoint.segments_to_send(0))
    noting.look()
    assert table.read() == []
