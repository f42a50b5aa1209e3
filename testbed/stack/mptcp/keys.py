"""The keys of both hosts, and the parameters that MP_CAPABLE negotiates."""

from __future__ import annotations

from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.streams import DataSequence


class Keys:
    """Both keys of a connection, the values derived from them, and the use of checksums.

    :param local: our key, 64 bits.
    :param checksum: whether this side requires DSS checksums. They are also used if the peer
        requires them.
    :param wide_acks: whether our Data ACKs always have 8 octets.
    :ivar wide_ack: whether the next Data ACK has 8 octets.
    """

    __slots__ = (
        "_always_wide",
        "checksum",
        "incoming",
        "local",
        "outgoing",
        "remote",
        "remote_token",
        "token",
        "wide_ack",
    )

    def __init__(self, local: int, *, checksum: bool = False, wide_acks: bool = True) -> None:
        self._always_wide = self.wide_ack = wide_acks
        self.local = local
        self.checksum = checksum
        self.token = crypto.token(local)
        self.outgoing = DataSequence(crypto.initial_dsn(local))
        self.remote: int | None = None
        self.remote_token = 0
        self.incoming = DataSequence(0)

    def require_checksums(self) -> None:
        """Use checksums, as one of the two hosts requires them."""
        self.checksum = True

    def mapped(self, *, wide: bool) -> None:
        """Record the width of the data sequence number in a mapping of the peer."""
        self.wide_ack = wide or self._always_wide

    def data_ack(self, position: int) -> int:
        """Return the Data ACK for a position in the peer's stream."""
        return self.incoming.number(position, wide=self.wide_ack)

    def learn(self, remote: int) -> None:
        """Record the peer's key."""
        self.remote = remote
        self.remote_token = crypto.token(remote)
        self.incoming = DataSequence(crypto.initial_dsn(remote))

    def pair(self) -> tuple[int, int]:
        """Return our key and the peer's key, which must be known."""
        assert self.remote is not None  # noqa: S101 - not asked before the handshake is done
        return self.local, self.remote
