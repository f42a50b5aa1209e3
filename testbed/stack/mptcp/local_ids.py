"""Ids of local addresses in one connection (RFC 8684, section 3.2): one for each address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.stack.mptcp.path_manager.base import PathEndpoint

_MOST: Final = 255  # an id has 8 bits; 0 is that of the first subflow's address


class LocalIds:
    """Gives an address an id when it is asked for first, and keeps to it.

    :param initial: the local address of the first subflow, which has 0.
    :param endpoints: have the ids that are configured.
    """

    def __init__(self, initial: str, endpoints: Iterable[PathEndpoint]) -> None:
        self._ids = {one.host: one.id for one in reversed(list(endpoints))}
        self._ids[initial] = 0

    def add(self, endpoint: PathEndpoint) -> None:
        """Give the address of an endpoint its id, unless it has one."""
        self._ids.setdefault(endpoint.host, endpoint.id)

    def remove(self, endpoint: PathEndpoint) -> None:
        """Take the id of an endpoint back; its address gets another one if it comes again."""
        if self._ids.get(endpoint.host) == endpoint.id:
            del self._ids[endpoint.host]

    def of(self, host: str) -> int | None:
        """Return an address's id, ``None`` if all are taken."""
        if host not in self._ids:
            used = set(self._ids.values())
            free = next((number for number in range(1, _MOST + 1) if number not in used), None)
            if free is None:
                return None
            self._ids[host] = free
        return self._ids[host]
