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

    :ivar acceptor: decides what rides on each connection.
    :ivar options: what each connection begins with.
    :param accept_queue: one less than how many connections may wait for the program to accept
        them, as in Linux; ``None``: they count as accepted at once.
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
        self._refused_ns: int | None = None  # when a SYN last found no place
        self._early = 0  # connections in the handshake that began with data on SYN
        self._reset_ns: deque[int] = deque()  # when the peers of such ones have reset them

    @property
    def has_place(self) -> bool:
        """Whether one more connection may begin; if not, nothing is kept for its SYN."""
        return self._waiting < self._backlog

    @property
    def full(self) -> bool:
        """Whether as many connections as may do so wait to be accepted."""
        return self._accept_queue is not None and self._unaccepted > self._accept_queue

    def enqueue(self) -> bool:
        """Let a connection that is established wait to be accepted; tell whether it has to."""
        if self._accept_queue is None:
            return False
        self._unaccepted += 1
        return True

    def accepted(self) -> None:
        """Take that the program has accepted one."""
        self._unaccepted -= 1

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

    def admits_early(self, most: int, now: int) -> bool:
        """Tell whether one more connection may begin with data on SYN (RFC 7413, section 5.1).

        One that its peer has reset counts for a minute: else a stranger who sends SYN and RST by
        turns had no limit.
        """
        reset_ns = self._reset_ns
        while reset_ns and now - reset_ns[0] > _RESET_COUNTS_NS:
            reset_ns.popleft()
        return self._early + len(reset_ns) < most

    def hold_early(self) -> None:
        """Count a connection that has begun with data on SYN."""
        self._early += 1

    def release_early(self, reset_ns: int | None) -> None:
        """Count it no more: its handshake is over.

        :param reset_ns: when the peer has reset it, if so.
        """
        self._early -= 1
        if reset_ns is not None:
            self._reset_ns.append(reset_ns)

    def close(self) -> None:
        """Accept no more; connections stay."""
        if self._open.get(self.local) is self:
            del self._open[self.local]
