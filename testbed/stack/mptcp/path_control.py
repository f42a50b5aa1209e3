"""The interface by which programs change endpoints and subflows at run time.

There are two kinds of change. Endpoints belong to the host: :meth:`PathControl.add`,
:meth:`~PathControl.delete`, :meth:`~PathControl.change` and :meth:`~PathControl.become` do what
``ip mptcp endpoint`` does in the kernel, and the path manager of each connection reacts. Commands
concern one connection and bypass its path manager: :meth:`PathControl.execute` does what a daemon
of the kernel's userspace path manager requests. The commands are those of path managers
(:mod:`testbed.stack.mptcp.path_manager.base`).

Changes are refused as in ``net/mptcp/pm_kernel.c`` and ``pm_userspace.c`` of Linux.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.path_manager.base import Command, PathEndpoint, PathError
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.tokens import Tokens

Change = Callable[[ConnectionPaths], None]


class Host(Protocol):
    """The services of the endpoint that path control needs."""

    def touch(self, connection: MptcpConnection) -> None:
        """Schedule a step of a connection."""

    def crash(self, connection: MptcpConnection, error: Exception, now: int) -> None:
        """End a connection after an exception in it."""


class PathControl:
    """The only interface for changes of paths; see the module.

    After a call the endpoint has segments to send, so its driver must be woken.

    :param tokens: all connections.
    :ivar endpoints: the present endpoints, which future connections begin with.
    """

    def __init__(self, host: Host, tokens: Tokens, endpoints: tuple[PathEndpoint, ...]) -> None:
        self.endpoints = endpoints
        self._host = host
        self._tokens = tokens

    def add(self, endpoint: PathEndpoint, now: int) -> None:
        """Add an endpoint.

        :raises PathError: its flags exclude each other, or it exists already.
        """
        _check(endpoint)
        for one in self.endpoints:
            if one.id == endpoint.id or (one.host, one.port) == (endpoint.host, endpoint.port):
                raise PathError(f"there is an endpoint {one.host} with the id {one.id} already")
        self._add(endpoint, now)

    def delete(self, number: int, now: int) -> None:
        """Delete the endpoint with an id. Its subflows end, and the peers are informed.

        :raises PathError: no endpoint has this id.
        """
        self._delete(self._find(number), now)

    def change(
        self, number: int, now: int, *, backup: bool | None = None, fullmesh: bool | None = None
    ) -> None:
        """Change flags of an endpoint; ``None`` keeps a flag.

        :raises PathError: no endpoint has this id, or its other flags forbid the change.
        """
        old = self._find(number)
        new = msgspec.structs.replace(
            old,
            backup=old.backup if backup is None else backup,
            fullmesh=old.fullmesh if fullmesh is None else fullmesh,
        )
        _check(new)
        if new != old:
            self._change(old, new, now)

    def become(self, endpoints: Sequence[PathEndpoint], now: int) -> None:
        """Change, delete and add endpoints, in this order, to reach this list."""
        before = self.endpoints
        gone = [one for one in before if one not in endpoints]
        new = [one for one in endpoints if one not in before]
        for old in gone[:]:
            changed = next((one for one in new if _differ_in_flags(old, one)), None)
            if changed is not None:
                gone.remove(old)
                new.remove(changed)
                self._change(old, changed, now)
        for one in gone:
            self._delete(one, now)
        for one in new:
            self._add(one, now)
        self.endpoints = tuple(endpoints)  # in this order

    def execute(self, token: int, command: Command, now: int) -> None:
        """Execute a command on a connection.

        :param token: the local token, as in MPTCP_INFO and in the events.
        :raises PathError: the command cannot be carried out.
        """
        connection = self._tokens.find(token)
        if connection is None or connection.closed:
            raise PathError(f"no connection has the token {token}")
        refusal = self._apply(connection, lambda paths: paths.execute(command, now), now)
        if refusal is not None:
            raise refusal

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield events (:mod:`testbed.trace`) that describe all present connections."""
        over = (DataState.OPENING, DataState.CLOSED)
        for connection in [one for one in self._tokens if one.state not in over]:
            for name, fields in connection.paths.events():
                yield name, {"token": connection.keys.token, **fields}

    def tell(self, change: Change, now: int) -> None:
        """Inform the paths of each connection of a change."""
        for connection in list(self._tokens):
            self._apply(connection, change, now)

    def _apply(self, connection: MptcpConnection, change: Change, now: int) -> PathError | None:
        """Change the paths of a connection. Return the reason if that is refused."""
        refusal = None
        try:
            change(connection.paths)
        except PathError as error:
            refusal = error
        except Exception as error:
            self._host.crash(connection, error, now)
        self._host.touch(connection)
        return refusal

    def _find(self, number: int) -> PathEndpoint:
        for one in self.endpoints:
            if one.id == number:
                return one
        raise PathError(f"no endpoint has the id {number}")

    def _add(self, new: PathEndpoint, now: int) -> None:
        self.endpoints = (*self.endpoints, new)
        self.tell(lambda paths: paths.endpoint_added(new, now), now)

    def _delete(self, old: PathEndpoint, now: int) -> None:
        self.endpoints = tuple(one for one in self.endpoints if one != old)
        self.tell(lambda paths: paths.endpoint_removed(old, now), now)

    def _change(self, old: PathEndpoint, new: PathEndpoint, now: int) -> None:
        self.endpoints = tuple(new if one == old else one for one in self.endpoints)
        self.tell(lambda paths: paths.endpoint_changed(old, new, now), now)


def _check(endpoint: PathEndpoint) -> None:
    """Check an endpoint as Linux does. Raises PathError."""
    if not 1 <= endpoint.id <= 255:
        raise PathError(f"the id of an endpoint is a number from 1 to 255, not {endpoint.id}")
    if endpoint.port is not None and (endpoint.subflow or not endpoint.signal):
        raise PathError("an endpoint with a port must be signal and not subflow")
    if endpoint.signal and endpoint.fullmesh:
        raise PathError("an endpoint cannot be both signal and fullmesh")


def _differ_in_flags(one: PathEndpoint, other: PathEndpoint) -> bool:
    """Return whether two endpoints differ only in flags that may change."""
    same = msgspec.structs.replace(one, backup=other.backup, fullmesh=other.fullmesh)
    return one != other == same
