"""The generation of keys (RFC 8684, section 3.1)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from testbed.packet.address import Address, Flow
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint

S = 1_000_000_000


class Bits:
    """A source of random bits that returns given values."""

    def __init__(self, *values: int) -> None:
        self.asked: list[int] = []
        self._values = list(values)

    def getrandbits(self, k: int, /) -> int:
        self.asked.append(k)
        return self._values.pop(0)


class Nowhere:
    """A network without other addresses."""

    hosts: Sequence[str] = ("10.0.0.1",)

    def source_for(self, remote_host: str) -> str | None:
        return None

    def port_for(self, local_host: str, remote: Address) -> int:
        raise OSError

    def release_port(self, local: Address) -> None:
        raise AssertionError


def connect(bits: Bits | random.Random, count: int) -> list[MptcpConnection]:
    endpoint = MptcpEndpoint(MptcpConfig(), bits, b"sixteen octets..", Nowhere())
    remote = Address("10.0.0.2", 80)
    flows = (Flow(Address("10.0.0.1", 4000 + number), remote) for number in range(count))
    return [endpoint.connect(flow, S) for flow in flows]


@pytest.mark.requirement("RFC 8684", "3.1-MUST-2")
def test_keys_are_all_of_what_the_source_of_random_bits_gives() -> None:
    values = (0xFEDC_BA98_7654_3210, 1)
    bits = Bits(*values)
    assert [one.keys.local for one in connect(bits, 2)] == list(values)
    assert bits.asked == [64, 64]


@pytest.mark.requirement("RFC 8684", "3.1-MUST-3", "3.1-SHOULD-2")
@pytest.mark.interpreted
def test_a_key_whose_token_is_taken_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it the same key, or another one with the same token."""
    monkeypatch.setattr(crypto, "token", lambda key: key % 10)
    assert [one.keys.local for one in connect(Bits(7, 7, 17, 8), 2)] == [7, 8]
