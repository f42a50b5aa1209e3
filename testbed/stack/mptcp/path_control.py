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

from testbed.stack.mptcp.path_manager.base import Command, PathEndpoint, PathError
from testbed.stack.mptcp.paths import ConnectionPaths


class Connections(Protocol):
    """The services of the endpoint that path control needs."""

    @property
    def endpoints(self) -> tuple[PathEndpoint, ...]:
        """The endpoints of future connections."""

    def keep_endpoints(self, endpoints: Sequence[PathEndpoint]) -> None:
        """Set the endpoints of future connections."""

    def tell(self, change: Callable[[ConnectionPaths], None], now: int) -> None:
        """Inform the paths of each connection of a change."""

    def established(self) -> Sequence[tuple[int, ConnectionPaths]]:
        """Return the tokens and paths of the connections on which data can flow."""

    def on(self, token: int, change: Callable[[ConnectionPaths], None], now: int) -> None:
        """Change the paths of one connection. Raises PathError."""


class PathControl:
    """The only interface for changes of paths; see the module.

    After a call the endpoint has segments to send, so its driver must be woken.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def endpoints(self) -> tuple[PathEndpoint, ...]:
        """The present endpoints."""
        return self._connections.endpoints

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
        self._connections.keep_endpoints(endpoints)  # in the order of ``endpoints``

    def execute(self, token: int, command: Command, now: int) -> None:
        """Execute a command on a connection.

        :param token: the local token, as in MPTCP_INFO and in the events.
        :raises PathError: the command cannot be carried out.
        """
        self._connections.on(token, lambda paths: paths.execute(command, now), now)

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield events (:mod:`testbed.trace`) that describe all present connections."""
        for token, paths in self._connections.established():
            for name, fields in paths.events():
                yield name, {"token": token, **fields}

    def _find(self, number: int) -> PathEndpoint:
        for one in self.endpoints:
            if one.id == number:
                return one
        raise PathError(f"no endpoint has the id {number}")

    def _add(self, new: PathEndpoint, now: int) -> None:
        self._connections.keep_endpoints((*self.endpoints, new))
        self._connections.tell(lambda paths: paths.endpoint_added(new, now), now)

    def _delete(self, old: PathEndpoint, now: int) -> None:
        self._connections.keep_endpoints([one for one in self.endpoints if one != old])
        self._connections.tell(lambda paths: paths.endpoint_removed(old, now), now)

    def _change(self, old: PathEndpoint, new: PathEndpoint, now: int) -> None:
        self._connections.keep_endpoints([new if one == old else one for one in self.endpoints])
        self._connections.tell(lambda paths: paths.endpoint_changed(old, new, now), now)


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
