"""The table of tokens (RFC 8684, sections 3.1 and 3.2)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpCapable, MpJoinSyn
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE_2, Script

Table = dict[int, Any]


class Counted(Table):
    """A dictionary that counts what is asked of it."""

    def __init__(self, known: Table) -> None:
        super().__init__(known)
        self.asked: Counter[str] = Counter()


def _counting(name: str) -> Any:
    def method(self: Counted, *arguments: Any) -> Any:
        self.asked[name] += 1
        return getattr(dict, name)(self, *arguments)

    return method


for _name in ("__contains__", "__getitem__", "__iter__", "get", "items", "keys", "values"):
    setattr(Counted, _name, _counting(_name))


class Drawn:
    """Randomness that gives some numbers first."""

    def __init__(self, world: Script, *numbers: int) -> None:
        self._numbers = list(numbers)
        self._others = world.endpoint._tokens._rng

    def getrandbits(self, k: int) -> int:
        """Return the next number."""
        return self._numbers.pop(0) if self._numbers else self._others.getrandbits(k)


def _open(world: Script, count: int) -> None:
    for port in range(count):
        flow = Flow(Address(LOCAL.host, 10_000 + port), Address("10.0.1.2", 80))
        world.endpoint.connect(flow, world.now)
    world.pump()
    world.out.clear()


def _key_of_syn_ack(world: Script) -> int:
    peer = world.subpeer(remote=Address("10.0.1.3", 4000))
    (answer,) = peer.syn(MpCapable())
    key: int = find(answer.options, MpCapable).sender_key
    return key


def test_key_whose_token_is_taken_is_drawn_again(script: Any) -> None:
    """Section 3.1, of both sides: the token must be unique."""
    world = script()
    world.endpoint._tokens._rng = Drawn(world, 7, 7, 7, 9, 7, 9, 11)
    _open(world, 2)
    keys = [one.keys.local for one in world.endpoint._tokens._by_token.values()]
    assert keys == [7, 9]
    assert _key_of_syn_ack(world) == 11


def test_token_is_free_when_its_connection_is_gone(script: Any) -> None:
    """The same key may be drawn again then."""
    world = script()
    world.endpoint._tokens._rng = Drawn(world, 7, 7)
    _open(world, 1)
    (only,) = world.endpoint._tokens._by_token.values()
    only.abort()
    world.pump()
    assert world.endpoint.connections == 0
    assert _key_of_syn_ack(world) == 7


@pytest.mark.interpreted
@pytest.mark.parametrize("known", [True, False])
def test_look_up_does_not_grow_with_the_table(script: Any, known: bool) -> None:
    """A join asks the table once, among ten connections and among hundreds."""
    asked = []
    for count in (10, 300):
        world = script()
        world.open()
        _open(world, count)
        world.endpoint._tokens._by_token = table = Counted(world.endpoint._tokens._by_token)
        token = world.keys.remote_token if known else 12345
        join = world.subpeer(LOCAL_2, REMOTE_2)
        (answer,) = join.syn(MpJoinSyn(address_id=2, token=token, nonce=1))
        assert bool(answer.flags & RST) is not known
        asked.append(dict(table.asked))
    assert asked == [{"get": 1}, {"get": 1}]


@pytest.mark.interpreted
def test_new_connection_asks_the_table_once(script: Any) -> None:
    """Its cost does not grow either."""
    for count in (10, 300):
        world = script()
        _open(world, count)
        world.endpoint._tokens._by_token = table = Counted(world.endpoint._tokens._by_token)
        peer = world.subpeer()
        key = find(peer.syn(MpCapable())[0].options, MpCapable).sender_key
        peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key))
        assert dict(table.asked) == {"__contains__": 1}
