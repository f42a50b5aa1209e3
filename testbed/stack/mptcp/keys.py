"""What two hosts know of one another once MP_CAPABLE has been exchanged."""

from __future__ import annotations

from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.streams import DataSequence


class Keys:
    """Both keys of a connection and all that follows from them, and the use of checksums.

    :param local: our key, 64 bits.
    :param checksum: this side requires DSS checksums; if the peer does, they are used as well.
    """

    __slots__ = ("checksum", "incoming", "local", "outgoing", "remote", "remote_token", "token")

    def __init__(self, local: int, *, checksum: bool = False) -> None:
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

    def learn(self, remote: int) -> None:
        """Take the peer's key."""
        self.remote = remote
        self.remote_token = crypto.token(remote)
        self.incoming = DataSequence(crypto.initial_dsn(remote))

    def pair(self) -> tuple[int, int]:
        """Return our key and the peer's, which is known."""
        assert self.remote is not None  # noqa: S101 - nobody asks before the handshake is done
        return self.local, self.remote
