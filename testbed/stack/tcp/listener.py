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

    __slots__ = ("_backlog", "_open", "_waiting", "acceptor", "local")

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

    @property
    def has_place(self) -> bool:
        """Whether one more connection may begin; if not, its SYN is dropped."""
        return self._waiting < self._backlog

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
