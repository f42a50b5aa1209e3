"""The services of a connection and of its host for the parts of the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import OpenSubflow
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.tcp.right_sizing import WindowMemory


class Host(Protocol):
    """The services of the endpoint that a connection needs."""

    @property
    def memory(self) -> WindowMemory:
        """The memory by which receive windows may grow."""

    def touch(self, connection: Any) -> None:
        """Request a step of the connection."""

    def trace(self, name: str, now: int, connection: Any, **fields: Any) -> None:
        """Trace an event."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""

    def join(self, connection: Any, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN, or do nothing if that is impossible."""

    def opened(self, connection: Any, subflow: Subflow, now: int) -> None:
        """Record how the first subflow was opened."""

    def release(self, local: Address) -> None:
        """Release the local port of a joined subflow that has ended."""


class Services:
    """The only reference from the parts of a connection back to the connection.

    The endpoint cuts it when it drops the connection. Without a cycle of references, the connection
    is freed when the program drops it, too, and leaves nothing to the garbage collector.

    :ivar initiator: whether this side opened the connection.
    :ivar count: increments the MPTcpExt counter that has a name; one object for all parts.
    """

    __slots__ = ("_connection", "_host", "count", "initiator")

    def __init__(self, host: Host, connection: Any, *, initiator: bool) -> None:
        self.initiator = initiator
        self._host = host
        self.count: Callable[[str], None] = host.count
        self._connection: Any = connection

    def cut(self) -> None:
        """Forget the connection, which has ended. Only counters still reach the host."""
        self._connection = None

    def touch(self) -> None:
        """Request a step of the connection."""
        if self._connection is not None:
            self._host.touch(self._connection)

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Trace an event."""
        if self._connection is not None:
            self._host.trace(name, now, self._connection, **fields)

    def release(self, local: Address) -> None:
        """Release the local port of a joined subflow that has ended."""
        self._host.release(local)

    def join(self, command: OpenSubflow, now: int) -> None:
        """Open an additional subflow."""
        if self._connection is not None:
            self._host.join(self._connection, command, now)

    def opened(self, subflow: Subflow, now: int) -> None:
        """Report to the endpoint how the first subflow was opened."""
        if self._connection is not None:
            self._host.opened(self._connection, subflow, now)
