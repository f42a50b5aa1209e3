"""Ids of local addresses in one connection (RFC 8684, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.stack.mptcp.path_manager.base import PathEndpoint

_MOST: Final = 255  # an id has 8 bits; 0 is that of the first subflow's address


class LocalIds:
    """Assigns an id to each local address on its first use.

    If an address has several ids, the first one is that of its subflows. The others were announced
    with their own ports.

    :param initial: the local address of the first subflow, which has id 0.
    :param endpoints: the endpoints, with configured ids.
    """

    __slots__ = ("_hosts", "_ids")

    def __init__(self, initial: str, endpoints: Iterable[PathEndpoint]) -> None:
        self._ids = {initial: 0}  # by address: the id of its subflows
        self._hosts = {0: initial}  # the address of each id
        for one in endpoints:
            self.claim(one.host, one.id)

    def claim(self, host: str, number: int) -> bool:
        """Assign an id to an address; return whether it has the id, which another one may have."""
        if not 0 <= number <= _MOST or self._hosts.setdefault(number, host) != host:
            return False
        self._ids.setdefault(host, number)
        return True

    def remove(self, endpoint: PathEndpoint) -> None:
        """Release the id of an endpoint. Its address gets a new one if it returns."""
        if endpoint.id and self._hosts.get(endpoint.id) == endpoint.host:
            del self._hosts[endpoint.id]
            if self._ids.get(endpoint.host) == endpoint.id:
                del self._ids[endpoint.host]

    def knows(self, number: int) -> bool:
        """Return whether an address has this id."""
        return number in self._hosts

    def of(self, host: str) -> int | None:
        """Return the id of an address, or ``None`` if no id is free."""
        if host not in self._ids:
            free = next((one for one in range(1, _MOST + 1) if one not in self._hosts), None)
            if free is None:
                return None
            self.claim(host, free)
        return self._ids[host]
