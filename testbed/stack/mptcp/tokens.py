"""The connections of a host by token, and the creation of keys with unique tokens.

RFC 8684, section 3.1: the token of each connection of a host is unique.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.packet.address import Flow
from testbed.packet.segment import Segment
from testbed.stack.connection import Randomness
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.half_open import HalfOpen
from testbed.stack.mptcp.keys import Keys


class Tokens:
    """The token table. The cost of a look-up does not depend on the number of connections.

    :param rng: the source of keys.
    :param secret: for keys of SYNs that leave no state.
    :param checksum: as in :class:`~testbed.stack.mptcp.keys.Keys`, like ``wide_acks``.
    """

    __slots__ = ("_by_token", "_checksum", "_rng", "_secret", "_wide_acks")

    def __init__(self, rng: Randomness, secret: bytes, *, checksum: bool, wide_acks: bool) -> None:
        self._rng = rng
        self._secret = secret
        self._checksum = checksum
        self._wide_acks = wide_acks
        self._by_token: dict[int, MptcpConnection | HalfOpen] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def __iter__(self) -> Iterator[MptcpConnection]:
        return (one for one in self._by_token.values() if isinstance(one, MptcpConnection))

    def find(self, token: int) -> MptcpConnection | None:
        """Return the connection with a token, unless it is half-open."""
        found = self._by_token.get(token)
        return found if isinstance(found, MptcpConnection) else None

    def taken(self, token: int) -> bool:
        """Return whether a connection has a token."""
        return token in self._by_token

    def add(self, connection: MptcpConnection | HalfOpen) -> None:
        """Add a connection, which replaces the same one before the end of its handshake."""
        self._by_token[connection.keys.token] = connection

    def remove(self, connection: MptcpConnection | HalfOpen) -> bool:
        """Remove a connection; return whether it was in the table."""
        return self._by_token.pop(connection.keys.token, None) is not None

    def new_keys(self) -> Keys:
        """Return keys with a unique token."""
        while True:
            keys = self._keys(self._rng.getrandbits(64))
            if not self.taken(keys.token):
                return keys

    def stateless_keys(self, segment: Segment, seq: int) -> Keys:
        """Return the keys for a SYN by its sequence number and a segment of its sender."""
        flow = Flow(segment.destination, segment.source)
        return self._keys(crypto.stateless_key(self._secret, flow, seq))

    def _keys(self, local: int) -> Keys:
        return Keys(local, checksum=self._checksum, wide_acks=self._wide_acks)
