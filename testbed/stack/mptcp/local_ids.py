"""Ids of local addresses in one connection (RFC 8684, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.stack.mptcp.path_manager.base import PathEndpoint

_MOST: Final = 255  # an id has 8 bits; 0 is that of the first subflow's address


class LocalIds:
    """Gives an address an id when it is asked for first, and keeps to it.

    Of an address with several ids, the first is that of its subflows; the others were announced
    with ports of their own.

    :param initial: the local address of the first subflow, which has 0.
    :param endpoints: have the ids that are configured.
    """

    __slots__ = ("_ids", "_more")

    def __init__(self, initial: str, endpoints: Iterable[PathEndpoint]) -> None:
        self._ids = {initial: 0}
        self._more: tuple[tuple[str, int], ...] = ()  # further ids
        for one in endpoints:
            self.claim(one.host, one.id)

    def claim(self, host: str, number: int) -> bool:
        """Give an address an id; tell whether it has it: an id belongs to one address."""
        owner = self._owner(number)
        if owner is not None or not 0 <= number <= _MOST:
            return owner == host
        if self._ids.setdefault(host, number) != number:
            self._more = (*self._more, (host, number))
        return True

    def remove(self, endpoint: PathEndpoint) -> None:
        """Take the id of an endpoint back; its address gets another one if it comes again."""
        gone = endpoint.host, endpoint.id
        self._more = tuple(one for one in self._more if one != gone)
        if endpoint.id and self._ids.get(endpoint.host) == endpoint.id:
            del self._ids[endpoint.host]

    def knows(self, number: int) -> bool:
        """Tell whether an address has this id."""
        return self._owner(number) is not None

    def of(self, host: str) -> int | None:
        """Return an address's id, ``None`` if all are taken."""
        if host not in self._ids:
            used = {*self._ids.values(), *(number for _, number in self._more)}
            free = next((number for number in range(1, _MOST + 1) if number not in used), None)
            if free is None:
                return None
            self._ids[host] = free
        return self._ids[host]

    def _owner(self, number: int) -> str | None:
        pairs = (*self._ids.items(), *self._more)
        return next((host for host, taken in pairs if taken == number), None)
