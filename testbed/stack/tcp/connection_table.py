"""The TCP connections of a host, found by their flow, by their path and by their local port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

from testbed.packet.address import Address, Flow
from testbed.stack.tcp.connection import TcpConnection


class ConnectionTable:
    """All connections of an endpoint, also those in the handshake and in TIME-WAIT.

    A flow has one connection. A path has those between the same two hosts.

    :ivar get: returns the connection of a flow, or ``None``. A ``Flow`` equals the tuple of its
        ends, which is cheaper. It is the dictionary's own method, as each segment calls it.
    """

    __slots__ = ("_flows", "_paths", "_ports", "get")

    def __init__(self) -> None:
        self._flows: dict[tuple[Address, Address], TcpConnection] = {}
        self._paths: dict[tuple[str, str], dict[TcpConnection, None]] = {}
        self._ports: Counter[int] = Counter()
        self.get: Callable[[tuple[Address, Address]], TcpConnection | None] = self._flows.get

    def __iter__(self) -> Iterator[TcpConnection]:
        return iter(self._flows.values())

    def __len__(self) -> int:
        return len(self._flows)

    def of_path(self, flow: Flow) -> Collection[TcpConnection]:
        """Return the connections between the two hosts of a flow."""
        return tuple(self._paths.get((flow.local.host, flow.remote.host), ()))

    def add(self, connection: TcpConnection) -> None:
        """Add the connection of a flow that has none."""
        flow = connection.flow
        self._flows[flow] = connection
        self._paths.setdefault((flow.local.host, flow.remote.host), {})[connection] = None
        self._ports[flow.local.port] += 1

    def remove(self, connection: TcpConnection) -> bool:
        """Remove a connection; return whether it was there."""
        flow = connection.flow
        if self._flows.get(flow) is not connection:
            return False
        del self._flows[flow]
        path = flow.local.host, flow.remote.host
        del self._paths[path][connection]
        if not self._paths[path]:
            del self._paths[path]
        self._ports[flow.local.port] -= 1
        if not self._ports[flow.local.port]:
            del self._ports[flow.local.port]
        return True

    @property
    def flows(self) -> Collection[Flow]:
        """The flows of all connections."""
        return [Flow(*ends) for ends in self._flows]

    def uses(self, port: int) -> bool:
        """Return whether a connection has this local port."""
        return port in self._ports
