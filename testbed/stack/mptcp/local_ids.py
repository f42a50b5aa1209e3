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

    __slots__ = ("_ids", "_more")

    def __init__(self, initial: str, endpoints: Iterable[PathEndpoint]) -> None:
        self._ids = {initial: 0}
        self._more: tuple[tuple[str, int], ...] = ()  # additional ids
        for one in endpoints:
            self.claim(one.host, one.id)

    def claim(self, host: str, number: int) -> bool:
        """Assign an id to an address; return whether it has the id, which another one may have."""
        owner = self._owner(number)
        if owner is not None or not 0 <= number <= _MOST:
            return owner == host
        if self._ids.setdefault(host, number) != number:
            self._more = (*self._more, (host, number))
        return True

    def remove(self, endpoint: PathEndpoint) -> None:
        """Release the id of an endpoint. Its address gets a new one if it returns."""
        gone = endpoint.host, endpoint.id
        self._more = tuple(one for one in self._more if one != gone)
        if endpoint.id and self._ids.get(endpoint.host) == endpoint.id:
            del self._ids[endpoint.host]

    def knows(self, number: int) -> bool:
        """Return whether an address has this id."""
        return self._owner(number) is not None

    def of(self, host: str) -> int | None:
        """Return the id of an address, or ``None`` if no id is free."""
        if host not in self._ids:
            used = {*self._ids.values(), *(number for _, number in self._more)}
            free = next((number for number in range(1, _MOST + 1) if number not in used), None)
            if free is None:
                return None
            self._ids[host] = free
        return self._ids[host]

    def _owner(self, number: int) -> str | None:
        for host, taken in self._ids.items():
            if taken == number:
                return host
        for host, taken in self._more:
            if taken == number:
                return host
        return None
