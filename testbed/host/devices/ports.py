"""The ports of our stack: those reserved from the kernel, and those of its own addresses.

The kernel answers a packet to a port without a socket by RST. So each of our ports, including those
of clients, has a kernel socket that listens with a filter that passes nothing. The kernel finds
that socket, the filter drops the packet, and no answer is sent (``tcp_filter`` runs before a
listening socket processes the segment, net/ipv4/tcp_ipv4.c). A socket that is only bound is not
found for incoming packets. The socket also reserves the port.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from testbed.host.devices import filters

_ANY: Final[dict[int, str]] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - it hears nothing
_TABLES: Final = tuple(Path("/proc/thread-self/net", name) for name in ("tcp", "tcp6"))
_LISTEN: Final = "0A"  # include/net/tcp_states.h
_FIRST, _LAST = 32768, 60_991  # net.ipv4.ip_local_port_range, in whole blocks
_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)


class Closable(Protocol):
    """Something that is closed."""

    def close(self) -> None:
        """Close it."""


class Ports:
    """The ports of one host driver. Each applies to all local addresses, IPv4 and IPv6.

    Kernel sockets cannot use a port that is held here.

    :param rng: chooses the ports of clients (RFC 6056) within a block that the kernel chooses.
    :param listen: called with the blocks (:data:`testbed.host.devices.filters.BLOCK`) that contain
        ports, after each change.
    """

    def __init__(
        self, rng: random.Random, listen: Callable[[frozenset[int]], object] = lambda _: None
    ) -> None:
        self._rng = rng
        self._listen = listen
        self._blocks: frozenset[int] = frozenset()  # blocks that ``listen`` was called with
        self._guards: dict[int, Closable] = {}
        self._users: Counter[int] = Counter()
        # Ports without users, on which a connection may still answer.
        self._leaving: set[int] = set()
        self._candidates: list[int] = []

    def __contains__(self, port: int) -> bool:
        return port in self._guards

    @property
    def blocks(self) -> frozenset[int]:
        """The blocks (:data:`testbed.host.devices.filters.BLOCK`) that contain ports."""
        return frozenset(map(filters.block_of, self._guards))

    def hold(self, port: int) -> None:
        """Hold a certain port for a user.

        :raises OSError: EADDRINUSE if another process has it, EACCES if it is privileged, or no
            packets can be received on it.
        """
        if port not in self._guards:
            self._guards[port] = self._guard(port)
            try:
                self._tell()
            except OSError:
                self._guards.pop(port).close()
                raise
        self._users[port] += 1
        self._leaving.discard(port)

    def take(self) -> int:
        """Hold and return a free port.

        :raises OSError: no port is free.
        """
        while True:
            if not self._candidates:
                self._candidates = self._block()
            port = self._candidates.pop()
            if port not in self._guards:
                try:
                    self.hold(port)
                except OSError as error:
                    if error.errno not in _TAKEN:
                        raise
                else:
                    return port

    def let_go(self, port: int) -> None:
        """Release a port for one user. :meth:`sweep` returns it to the kernel."""
        self._users[port] -= 1
        if not self._users[port]:
            del self._users[port]
            self._leaving.add(port)

    def sweep(self, in_use: Callable[[int], bool]) -> bool:
        """Return ports without users to the kernel; return whether some must wait.

        :param in_use: whether a connection must still answer on a port. The kernel would answer by
            RST.
        """
        for port in [port for port in self._leaving if not in_use(port)]:
            self._leaving.discard(port)
            self._guards.pop(port).close()
        self._tell()
        return bool(self._leaving)

    def close(self) -> None:
        """Return all ports at once."""
        for guard in self._guards.values():
            guard.close()
        self._guards.clear()

    def _tell(self) -> None:
        blocks = self.blocks
        if blocks != self._blocks:
            self._listen(blocks)
            self._blocks = blocks

    def _block(self) -> list[int]:
        first = filters.block_of(self._any())
        ports = list(range(first, first + filters.BLOCK))
        self._rng.shuffle(ports)
        return ports

    def _guard(self, port: int) -> Closable:
        """Reserve a port from the kernel."""
        return _guard(port)

    def _any(self) -> int:
        """Return a port for a client."""
        with _guard(0) as chosen:
            port: int = chosen.getsockname()[1]
            return port


class OwnPorts(Ports):
    """The ports of addresses that the kernel does not have. All of them are free for us."""

    def __contains__(self, port: int) -> bool:
        return True

    def _guard(self, port: int) -> Closable:
        del port
        return contextlib.ExitStack()

    def _any(self) -> int:
        return self._rng.randrange(_FIRST, _LAST + 1)


class InheritedPorts(Ports):
    """Ports that the sockets of another process reserve."""

    def _guard(self, port: int) -> Closable:
        del port
        return contextlib.ExitStack()


def is_heard(port: int) -> bool:
    """Return whether a socket of this network namespace listens on a port (proc_net_tcp)."""
    for table in _TABLES:
        with contextlib.suppress(FileNotFoundError):  # the kernel has no IPv6
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state = line.split(maxsplit=4)[:4]
                if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False


def _guard(port: int) -> socket.socket:
    guard = _socket()
    try:
        filters.attach(guard, filters.NOTHING)
        # Connections of an earlier server that are in TIME-WAIT do not stand in the way.
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guard.bind((_ANY[guard.family], port))
        guard.listen(1)
    except OSError:
        guard.close()
        raise
    return guard


def _socket() -> socket.socket:
    """Return a socket for IPv4 and IPv6, or for IPv4 if the kernel has no IPv6."""
    try:
        both = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return both
