"""Peers that do anything at all: nothing raises, nothing storms, and all of it ends (RFC 8684)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    RemoveAddr,
)
from testbed.packet.options import Option
from testbed.packet.segment import ACK, FIN, RST, SYN
from testbed.stack.connection import ErrorKind
from testbed.stack.mptcp import crypto

from .script import LOCAL_2, PEER_KEY

_FLAGS = (ACK,) * 30 + (SYN, SYN | ACK, FIN | ACK, RST | ACK, RST, 0)


def _option(world: Any, rng: random.Random) -> Option:
    """Return any option, with numbers that are often plausible."""
    local, remote = world.keys.pair()
    near = rng.choice((0, 1, 5, rng.randrange(30_000), rng.getrandbits(64)))
    number, host = rng.randrange(256), f"10.0.{rng.randrange(4)}.2"
    hmac = crypto.add_addr_hmac(local, remote, number, host, None)
    return rng.choice(
        (
            Dss(
                data_ack=rng.choice((None, world.keys.incoming.number(near))),
                dsn=rng.choice((None, world.keys.outgoing.number(near))),
                subflow_seq=rng.choice((0, 1, rng.randrange(3000), rng.getrandbits(32))),
                length=rng.choice((0, 1, 100, 0xFFFF)),
                data_fin=rng.random() < 0.1,
            ),
            Dss(data_ack=world.keys.incoming.number(world.connections[0].outgoing.next)),
            AddAddr(address_id=number, address=host, hmac=rng.choice((None, hmac, bytes(8)))),
            RemoveAddr(address_ids=(number, rng.randrange(3))),
            MpPrio(backup=rng.random() < 0.5),
            MpFail(dsn=rng.getrandbits(64)),
            MpFastclose(receiver_key=rng.choice((1, remote)) if rng.random() < 0.1 else 2),
            MpCapable(sender_key=PEER_KEY, receiver_key=remote, data_length=rng.randrange(200)),
            MpJoinAck(hmac=bytes(20)),
            MpJoinSyn(address_id=number, token=world.keys.remote_token, nonce=1),
            MpJoinSynAck(address_id=number, hmac=bytes(8), nonce=1),
        )
    )


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_random_peer(script: Any, seed: int, active: bool) -> None:
    """For any input: bounded answers, bounded memory, and an end."""
    rng = random.Random(seed)
    world = script(receive_buffer=30_000)
    first = world.accept()[0] if active else world.open()
    peers = [first]
    connection = world.connection
    for _ in range(150):
        if connection.closed:
            break
        if rng.random() < 0.05:
            peers.append(world.subpeer(LOCAL_2, Address("10.0.2.2", rng.randrange(2000, 2010))))
            peers[-1].syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=7))
        peer = rng.choice(peers)
        peer.window = rng.choice((0, 1, 500, 0xFFFF))
        options = [_option(world, rng)] if rng.random() < 0.9 else []
        payload = bytes(rng.choice((0, 0, 1, 100, 1400)))
        answers = peer.send(rng.choice(_FLAGS), *options, payload=payload)
        assert sum(not one.payload for one in answers) < 10
        if rng.random() < 0.3 and not (connection.outgoing.closed or connection.closed):
            connection.send(bytes(rng.randrange(3000)))
        if rng.random() < 0.3:
            connection.read(rng.randrange(3000))
        if rng.random() < 0.02:
            connection.shutdown()
        world.wait(rng.random())
        assert connection.incoming.next - connection.incoming.edge <= 1 << 14
    for one in world.connections:  # SYNs of the peer may have opened others
        one.close()
    world.pump()
    world.wait(3600)
    assert connection.closed
    assert connection.failure is None or connection.failure.kind is not ErrorKind.INTERNAL
    assert connection.subflows == []
    assert world.endpoint.next_timer() is None
