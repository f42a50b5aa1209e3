"""SYNs that cross (RFC 9293, section 3.5), with options of MPTCP on them.

RFC 8684 has no handshake of MPTCP for that; section 3.9.2 leaves it to TCP.  As in Linux, a
connection whose SYNs cross is one of TCP, and a subflow is not joined.
"""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Flow
from testbed.packet.mptcp import MpCapable, MpJoinSyn, MptcpOption, MpTcprst, ResetReason
from testbed.packet.options import MaximumSegmentSize, find
from testbed.packet.segment import ACK, RST, SYN
from testbed.stack.tcp.config import TcpConfig


@pytest.mark.parametrize("options", [(), (MpCapable(),)])
def test_connection_is_plain_tcp(script: Any, options: Any) -> None:
    """No key goes with a SYN, so the peer's SYN,ACK would come too late for it."""
    world = script()
    peer = world.dial()
    peer.take()
    peer.seq = 0
    (answer,) = peer.send(SYN, MaximumSegmentSize(1460), *options)
    assert answer.flags == SYN | ACK
    assert find(answer.options, MptcpOption) is None
    peer.seq = 1
    peer.send(ACK)
    assert world.connection.fallback
    peer.send(ACK, payload=b"hello")
    assert world.connection.read(100) == b"hello"
    world.write(b"world")
    (sent,) = peer.take()
    assert sent.payload == b"world"
    assert find(sent.options, MptcpOption) is None


def test_subflow_is_not_joined(script: Any) -> None:
    """Each side had sent MP_JOIN: it is no answer to the other's; the connection goes on."""
    world = script()
    first, _ = world.accept()
    first.send(ACK, world.ack())
    first.send(ACK, world.announcement(2, "10.0.2.2"))
    join, _ = world.joining()
    join.take()
    join.seq = 0
    own = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=5)
    (reset,) = join.send(SYN, MaximumSegmentSize(1460), own)
    assert reset.flags & RST
    assert find(reset.options, MpTcprst) == MpTcprst(reason=ResetReason.MPTCP)
    assert not world.connection.closed


@pytest.mark.parametrize("fast_open", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_both_ends_connect(network: Any, seed: int, fast_open: bool) -> None:
    """With a fifth of the packets lost, and with data on both SYNs: TCP delivers everything."""
    net = network(1, seed=seed, tcp=TcpConfig(fast_open=fast_open))
    net.make_known()
    for path in net.paths.values():
        path.loss = 0.2
    there, back = bytes(range(256)) * 50, bytes(reversed(range(256))) * 50
    early = 100 if fast_open else 0
    connection = net.connect(data=there[:early])
    flow = connection.flow
    other = net.server.endpoint.connect(Flow(flow.remote, flow.local), net.now, data=back[:early])
    net.client.send(connection, there[early:])
    net.server.send(other, back[early:])
    net.run(600)
    assert net.server.received[other] == there
    assert net.client.received[connection] == back
    assert net.client.failure(connection) == net.server.failure(other) == ""
