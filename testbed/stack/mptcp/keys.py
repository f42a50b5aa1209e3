"""Two hosts' knowledge of one another once MP_CAPABLE has been exchanged."""

from __future__ import annotations

from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.streams import DataSequence


class Keys:
    """Both keys of a connection and all that follows from them, and the use of checksums.

    :param local: our key, 64 bits.
    :param checksum: this side requires DSS checksums; if the peer does, they are used as well.
    :param wide_acks: its Data ACKs have 8 octets whatever the peer sends.
    :ivar wide_ack: the next one has 8 octets.
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
        """Use checksums: one of the two hosts requires them."""
        self.checksum = True

    def mapped(self, *, wide: bool) -> None:
        """Note how wide the data sequence number of a mapping of the peer is."""
        self.wide_ack = wide or self._always_wide

    def data_ack(self, position: int) -> int:
        """Return what a Data ACK says of a position in the peer's stream."""
        return self.incoming.number(position, wide=self.wide_ack)

    def learn(self, remote: int) -> None:
        """Take the peer's key."""
        self.remote = remote
        self.remote_token = crypto.token(remote)
        self.incoming = DataSequence(crypto.initial_dsn(remote))

    def pair(self) -> tuple[int, int]:
        """Return our key and the peer's, which is known."""
        assert self.remote is not None  # noqa: S101 - not asked before the handshake is done
        return self.local, self.remote
