"""An open port."""

from __future__ import annotations

from typing import Final

from testbed.stack.packet.address import Address
from testbed.stack.tcp.extension import Acceptor

DEFAULT_BACKLOG: Final = 4096  # Linux' tcp_max_syn_backlog and somaxconn


class TcpListener:
    """Implements :class:`~testbed.stack.connection.Listener`.

    :ivar acceptor: decides what rides on each connection.
    """

    __slots__ = ("_backlog", "_open", "_refused_ns", "_waiting", "acceptor", "local")

    def __init__(
        self,
        local: Address,
        acceptor: Acceptor | None,
        backlog: int,
        open_ports: dict[Address, TcpListener],
    ) -> None:
        self.local = local
        self.acceptor = acceptor
        self._backlog = backlog
        self._open = open_ports
        self._waiting = 0  # connections in the handshake
        self._refused_ns: int | None = None  # when a SYN last found no place

    @property
    def has_place(self) -> bool:
        """Whether one more connection may begin; if not, nothing is kept for its SYN."""
        return self._waiting < self._backlog

    def overflow(self, now: int) -> None:
        """Note a SYN for which there is no place."""
        self._refused_ns = now

    def overflowed(self, now: int, within_ns: int) -> bool:
        """Tell whether there has been one of late."""
        return self._refused_ns is not None and now - self._refused_ns <= within_ns

    def hold(self) -> None:
        """Give a connection in the handshake a place."""
        self._waiting += 1

    def release(self) -> None:
        """Take the place back: the handshake is over, or the connection is."""
        self._waiting -= 1

    def close(self) -> None:
        """Accept no more; connections stay."""
        if self._open.get(self.local) is self:
            del self._open[self.local]
