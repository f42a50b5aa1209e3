"""A peer that leaves the first octet out lets the shared window grow, up to its bound."""

from __future__ import annotations

from typing import Any

from testbed.packet.mptcp import MpCapable
from testbed.packet.options import Timestamps, find
from testbed.packet.segment import ACK

from .script import PEER_KEY

FIRST, MOST = 20_000, 60_000
PIECE = 1000


def fill_behind_a_hole(script: Any, memory: int = 1 << 20) -> Any:
    """Send data from the second octet on, a few pieces each round trip, as the window allows."""
    tcp = {"timestamps": True, "receive_memory": memory}
    world = script(receive_buffer=MOST, receive_buffer_initial=FIRST, tcp=tcp)
    peer = world.dial()
    (syn,) = peer.take()
    stamp = find(syn.options, Timestamps)
    world.wait(0.1)
    (last, *_) = peer.syn_ack(MpCapable(sender_key=PEER_KEY), Timestamps(1, stamp.value))
    world.keys.learn(find(last.options, MpCapable).sender_key)
    position, tick = 1, 1
    for _ in range(30):
        world.wait(0.1)
        tick += 1
        room = world.connection.incoming.edge - position
        for _ in range(min(room // PIECE, 19)):
            dss = world.data(position, PIECE, position)
            answers = peer.send(ACK, Timestamps(tick, stamp.value), dss, payload=bytes(PIECE))
            last = answers[-1] if answers else last
            position += PIECE
        if not room // PIECE:
            peer.send(ACK, Timestamps(tick, stamp.value), world.ack())
        stamp = find(last.options, Timestamps)
    return world


def test_window_grows_up_to_the_receive_buffer(script: Any) -> None:
    """Data that waits for another subflow must not hold a transfer up: it counts as if read."""
    incoming = fill_behind_a_hole(script).connection.incoming
    assert FIRST < incoming.capacity <= MOST
    assert incoming.out_of_order <= MOST
    assert incoming.readable == 0


def test_it_takes_from_the_memory_of_all_windows_and_gives_it_back(script: Any) -> None:
    world = fill_behind_a_hole(script, memory=1_000)
    assert world.connection.incoming.capacity == FIRST + 1_000
    assert world.endpoint.memory.left == 0
    world.connection.abort()
    world.pump()
    assert world.endpoint.memory.left == 1_000
