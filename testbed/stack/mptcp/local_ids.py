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

    def __init__(self, initial: str, endpoints: Iterable[PathEndpoint]) -> None:
        self._ids = {initial: 0}
        self._hosts = {0: initial}
        for one in endpoints:
            self.claim(one.host, one.id)

    def claim(self, host: str, number: int) -> bool:
        """Give an address an id; tell whether it has it: an id belongs to one address."""
        if not 0 <= number <= _MOST or self._hosts.setdefault(number, host) != host:
            return False
        self._ids.setdefault(host, number)
        return True

    def remove(self, endpoint: PathEndpoint) -> None:
        """Take the id of an endpoint back; its address gets another one if it comes again."""
        if endpoint.id and self._hosts.get(endpoint.id) == endpoint.host:
            del self._hosts[endpoint.id]
            if self._ids.get(endpoint.host) == endpoint.id:
                del self._ids[endpoint.host]

    def knows(self, number: int) -> bool:
        """Tell whether an address has this id."""
        return number in self._hosts

    def of(self, host: str) -> int | None:
        """Return an address's id, ``None`` if all are taken."""
        if host not in self._ids:
            free = (number for number in range(1, _MOST + 1) if number not in self._hosts)
            number = next(free, None)
            if number is None:
                return None
            self.claim(host, number)
        return self._ids[host]
