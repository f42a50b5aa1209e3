"""The connections of a host by their tokens, and the keys that tokens are made of.

RFC 8684, section 3.1: no two connections of a host have the same token.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.packet.address import Flow
from testbed.packet.segment import Segment
from testbed.stack.connection import Randomness
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.keys import Keys


class Tokens:
    """A dictionary: a look-up costs the same however many connections there are.

    :param rng: where keys come from.
    :param secret: for keys where nothing is kept.
    :param checksum: of :class:`~testbed.stack.mptcp.keys.Keys`, like ``wide_acks``.
    """

    __slots__ = ("_by_token", "_checksum", "_rng", "_secret", "_wide_acks")

    def __init__(self, rng: Randomness, secret: bytes, *, checksum: bool, wide_acks: bool) -> None:
        self._rng = rng
        self._secret = secret
        self._checksum = checksum
        self._wide_acks = wide_acks
        self._by_token: dict[int, MptcpConnection] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def __iter__(self) -> Iterator[MptcpConnection]:
        return iter(self._by_token.values())

    def find(self, token: int) -> MptcpConnection | None:
        """Return the connection that has a token."""
        return self._by_token.get(token)

    def taken(self, token: int) -> bool:
        """Tell whether a connection has a token."""
        return token in self._by_token

    def add(self, connection: MptcpConnection) -> None:
        """Take a connection in."""
        self._by_token[connection.keys.token] = connection

    def remove(self, connection: MptcpConnection) -> bool:
        """Let a connection go; tell whether it was there."""
        return self._by_token.pop(connection.keys.token, None) is not None

    def new_keys(self) -> Keys:
        """Return keys whose token no other connection has."""
        while True:
            keys = self._keys(self._rng.getrandbits(64))
            if not self.taken(keys.token):
                return keys

    def stateless_keys(self, segment: Segment, seq: int) -> Keys:
        """Return the keys for the SYN that had a sequence number, given a segment of its sender."""
        flow = Flow(segment.destination, segment.source)
        return self._keys(crypto.stateless_key(self._secret, flow, seq))

    def _keys(self, local: int) -> Keys:
        return Keys(local, checksum=self._checksum, wide_acks=self._wide_acks)
