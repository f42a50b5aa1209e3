"""The SYN proxy: two handshakes, and the numbers of one in those of the other."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from testbed.middlebox.chain import Chain, Leaving
from testbed.middlebox.syn_proxy import SynProxy
from testbed.packet.address import Address
from testbed.packet.mptcp import MpCapable
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
)
from testbed.packet.segment import ACK, RST, SYN, Segment

CLIENT, SERVER = Address("10.0.0.1", 1000), Address("10.0.0.2", 80)
ISN: Final = 0xFFFF_FF00  # the proxy's
SACK = SackPermitted()
OFFERED = (MaximumSegmentSize(1460), SACK, Timestamps(1, 0), WindowScale(2), MpCapable())


class Certain:
    def random(self) -> float:
        raise AssertionError("nothing is left to chance")

    def getrandbits(self, k: int, /) -> int:
        assert k == 32
        return ISN


class Proxied:
    """A client, a proxy, and the server at the end ``b``."""

    def __init__(self) -> None:
        box = SynProxy(Certain(), protects="b", mss=1400, window_scale=7)
        self._chain: Chain[str] = Chain([box], lambda carrier: carrier)

    def there(self, **fields: Any) -> list[tuple[str, Segment]]:
        return self._enter("b", Segment(source=CLIENT, destination=SERVER, **fields))

    def back(self, **fields: Any) -> list[tuple[str, Segment]]:
        return self._enter("a", Segment(source=SERVER, destination=CLIENT, **fields))

    def _enter(self, toward: str, segment: Segment) -> list[tuple[str, Segment]]:
        leaving: list[Leaving[str]] = self._chain.enter(toward, segment, "x", 0)
        return [(each.toward, each.segment) for each in leaving]

    def opened(self, *, scale: int | None = 4, options: tuple[Option, ...] = OFFERED) -> None:
        """Carry out both handshakes: the client's ISN is 100, the server's 5000."""
        [(toward, answer)] = self.there(seq=100, flags=SYN, window=8000, options=options)
        assert (toward, answer.seq, answer.ack, answer.window) == ("a", ISN, 101, 0)
        assert answer.flags == SYN | ACK
        [(toward, syn)] = self.there(seq=101, ack=ISN + 1, flags=ACK, window=2000)
        assert (toward, syn.seq, syn.ack, syn.flags, syn.window) == ("b", 100, 0, SYN, 8000)
        said = () if scale is None else (WindowScale(scale),)
        leaving = dict(self.back(seq=5000, ack=101, flags=SYN | ACK, window=6400, options=said))
        assert (leaving["b"].seq, leaving["b"].ack, leaving["b"].flags) == (101, 5001, ACK)
        assert (leaving["a"].seq, leaving["a"].ack, leaving["a"].flags) == (ISN + 1, 101, ACK)
        self.update = leaving["a"]


@pytest.fixture
def proxied() -> Proxied:
    return Proxied()


def test_it_offers_what_it_can_keep(proxied: Proxied) -> None:
    [(_, answer)] = proxied.there(seq=100, flags=SYN, options=OFFERED)
    assert answer.options == (MaximumSegmentSize(1400), SACK, WindowScale(7))
    [(_, syn)] = proxied.there(seq=101, ack=ISN + 1, flags=ACK)
    assert syn.options == (OFFERED[0], SACK, OFFERED[3])
    [(_, bare)] = proxied.there(seq=500, flags=SYN)
    assert bare.options == (MaximumSegmentSize(1400),)


def test_numbers_are_translated_both_ways(proxied: Proxied) -> None:
    proxied.opened()
    assert proxied.update.window << 7 == 6400
    [(_, data)] = proxied.back(seq=5001, ack=101, flags=ACK, window=80, payload=b"x" * 400)
    assert data.seq == ISN + 1
    assert data.window << 7 == 80 << 4
    sack = Sack((((ISN + 300) % 2**32, (ISN + 401) % 2**32),))
    [(_, answer)] = proxied.there(
        seq=101, ack=(ISN + 201) % 2**32, flags=ACK, window=50, options=(sack,)
    )
    assert (answer.seq, answer.ack, answer.window) == (101, 5201, 50)
    assert answer.options == (Sack(((5300, 5401),)),)


def test_windows_of_a_client_whose_server_knows_no_scaling(proxied: Proxied) -> None:
    proxied.opened(scale=None)
    [(_, segment)] = proxied.there(seq=101, ack=ISN + 1, flags=ACK, window=50)
    assert segment.window == 50 << 2


def test_what_is_lost_is_sent_again(proxied: Proxied) -> None:
    syn = {"seq": 100, "flags": SYN, "options": OFFERED}
    assert proxied.there(**syn) == proxied.there(**syn)
    proof = {"seq": 101, "ack": ISN + 1, "flags": ACK}
    assert proxied.there(**proof) == proxied.there(**proof)
    assert proxied.there(**syn) == []  # the client is known to be there
    syn_ack = {"seq": 5000, "ack": 101, "flags": SYN | ACK}
    first = dict(proxied.back(**syn_ack))
    assert proxied.back(**syn_ack) == [("b", first["b"])]


def test_only_the_right_ack_opens(proxied: Proxied) -> None:
    proxied.there(seq=100, flags=SYN, options=OFFERED)
    assert proxied.there(seq=101, ack=ISN + 2, flags=ACK) == []
    assert proxied.back(seq=5000, ack=101, flags=SYN | ACK) == []


def test_a_refusal_has_numbers_that_the_client_takes(proxied: Proxied) -> None:
    proxied.there(seq=100, flags=SYN, options=OFFERED)
    proxied.there(seq=101, ack=ISN + 1, flags=ACK)
    [(_, reset)] = proxied.back(seq=0, ack=101, flags=RST | ACK)
    assert (reset.seq, reset.ack) == (ISN + 1, 101)


def test_a_reset_ends_what_it_knows(proxied: Proxied) -> None:
    proxied.opened()
    [(_, reset)] = proxied.there(seq=101, flags=RST)
    assert reset.seq == 101
    stranger = Segment(source=CLIENT, destination=SERVER, seq=101, ack=1, flags=ACK)
    assert proxied.there(seq=101, ack=1, flags=ACK) == [("b", stranger)]


def test_connections_that_are_older_pass(proxied: Proxied) -> None:
    for enter, source, destination in (
        (proxied.there, CLIENT, SERVER),
        (proxied.back, SERVER, CLIENT),
    ):
        segment = Segment(source=source, destination=destination, seq=1, ack=7, flags=ACK)
        [(_, same)] = enter(seq=1, ack=7, flags=ACK)
        assert same == msgspec.structs.replace(segment)
