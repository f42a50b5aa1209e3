"""An open port."""

from __future__ import annotations

from collections import deque
from typing import Final

from testbed.packet.address import Address
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.config import SECOND
from testbed.stack.tcp.extension import Acceptor

_RESET_COUNTS_NS: Final = 60 * SECOND  # as in Linux
DEFAULT_BACKLOG: Final = 4096  # Linux' tcp_max_syn_backlog and somaxconn


class TcpListener:
    """Implements :class:`~testbed.stack.connection.Listener`.

    :ivar acceptor: returns the extension of each connection.
    :ivar options: the options of new connections.
    :param accept_queue: as in Linux, one more than this number of connections may wait for the
        program to accept them. ``None`` accepts them at once.
    """

    __slots__ = (
        "_accept_queue",
        "_backlog",
        "_early",
        "_open",
        "_refused_ns",
        "_reset_ns",
        "_unaccepted",
        "_waiting",
        "acceptor",
        "local",
        "options",
    )

    def __init__(
        self,
        local: Address,
        acceptor: Acceptor | None,
        backlog: int,
        open_ports: dict[Address, TcpListener],
        options: SocketOptions = NO_OPTIONS,
        accept_queue: int | None = None,
    ) -> None:
        self.local = local
        self.acceptor = acceptor
        self.options = options
        self._backlog = backlog
        self._accept_queue = accept_queue
        self._unaccepted = 0
        self._open = open_ports
        self._waiting = 0  # connections in the handshake
        self._refused_ns: int | None = None  # when the backlog last had no place for a SYN
        self._early = 0  # connections in the handshake that started with data on SYN
        # Times at which peers reset connections with data on SYN.
        self._reset_ns: deque[int] = deque()

    @property
    def has_place(self) -> bool:
        """Whether the backlog has a place. Without one, no state is kept for a SYN."""
        return self._waiting < self._backlog

    @property
    def full(self) -> bool:
        """Whether the accept queue is full."""
        return self._accept_queue is not None and self._unaccepted > self._accept_queue

    def enqueue(self) -> bool:
        """Add an established connection to the accept queue; return whether there is one."""
        if self._accept_queue is None:
            return False
        self._unaccepted += 1
        return True

    def accepted(self) -> None:
        """Record that the program has accepted a connection."""
        self._unaccepted -= 1

    def overflow(self, now: int) -> None:
        """Record a SYN for which the backlog has no place."""
        self._refused_ns = now

    def overflowed(self, now: int, within_ns: int) -> bool:
        """Return whether the backlog was full recently."""
        return self._refused_ns is not None and now - self._refused_ns <= within_ns

    def hold(self) -> None:
        """Give a connection in the handshake a place in the backlog."""
        self._waiting += 1

    def release(self) -> None:
        """Free the place after the handshake, or after the end of the connection."""
        self._waiting -= 1

    def admits_early(self, most: int, now: int) -> bool:
        """Return whether one more connection may start with data on SYN (RFC 7413, section 5.1).

        A connection that its peer has reset counts for a minute. Otherwise an attacker that
        alternates SYN and RST would have no limit.
        """
        reset_ns = self._reset_ns
        while reset_ns and now - reset_ns[0] > _RESET_COUNTS_NS:
            reset_ns.popleft()
        return self._early + len(reset_ns) < most

    def hold_early(self) -> None:
        """Count a connection that started with data on SYN."""
        self._early += 1

    def release_early(self, reset_ns: int | None) -> None:
        """Stop counting it after its handshake.

        :param reset_ns: when the peer has reset it, if it did.
        """
        self._early -= 1
        if reset_ns is not None:
            self._reset_ns.append(reset_ns)

    def close(self) -> None:
        """Stop accepting connections. Existing ones stay."""
        if self._open.get(self.local) is self:
            del self._open[self.local]
