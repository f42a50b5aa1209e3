"""Ports that the kernel leaves to us.

A packet that comes for a port where the kernel has no socket is answered with RST.  So each of our
ports, of clients too, has a kernel socket that listens on it with a filter that passes nothing: the
kernel finds that socket, the filter drops the packet, and no answer leaves (``tcp_filter`` comes
before a listening socket looks at the segment, net/ipv4/tcp_ipv4.c).  A socket that is only bound
would not do: it is not found by incoming packets.  It also keeps others from using the port.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

from testbed.host import filters

_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - it hears nothing
_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)


class Ports:
    """The ports of one host driver; each counts for all local addresses, IPv4 and IPv6.

    :param rng: chooses the ports of clients (RFC 6056): within a block that the kernel chooses.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._guards: dict[int, socket.socket] = {}
        self._candidates: list[int] = []

    def __contains__(self, port: int) -> bool:
        return port in self._guards

    @property
    def blocks(self) -> frozenset[int]:
        """The blocks (:data:`testbed.host.filters.BLOCK`) in which there are ports."""
        return frozenset(map(filters.block_of, self._guards))

    def reserve(self, port: int) -> None:
        """Reserve a certain port.

        :raises OSError: EADDRINUSE, somebody has it; EACCES, it is privileged.
        """
        if port in self._guards:
            raise OSError(errno.EADDRINUSE, f"port {port} is in use already")
        self._guards[port] = _guard(port)

    def take(self) -> int:
        """Reserve some free port for a client and return it.

        :raises OSError: the kernel has none left.
        """
        while True:
            if not self._candidates:
                self._candidates = self._block()
            port = self._candidates.pop()
            if port not in self._guards:
                try:
                    self._guards[port] = _guard(port)
                except OSError as error:
                    if error.errno not in _TAKEN:
                        raise
                else:
                    return port

    def release(self, port: int) -> None:
        """Give a port back to the kernel."""
        self._guards.pop(port).close()

    def close(self) -> None:
        """Give all ports back."""
        for guard in self._guards.values():
            guard.close()
        self._guards.clear()

    def _block(self) -> list[int]:
        with _guard(0) as chosen:
            first = filters.block_of(chosen.getsockname()[1])
        ports = list(range(first, first + filters.BLOCK))
        self._rng.shuffle(ports)
        return ports


def _guard(port: int) -> socket.socket:
    for family in (socket.AF_INET6, socket.AF_INET):
        try:
            guard = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # this kernel has IPv4 only
            if error.errno != errno.EAFNOSUPPORT or family == socket.AF_INET:
                raise
            continue
        try:
            filters.attach(guard, filters.NOTHING)
            if family == socket.AF_INET6:
                guard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # Connections of an earlier server that are in TIME-WAIT do not stand in the way.
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            guard.bind((_ANY[family], port))
            guard.listen(1)
        except OSError:
            guard.close()
            raise
        else:
            return guard
    raise AssertionError("unreachable")
