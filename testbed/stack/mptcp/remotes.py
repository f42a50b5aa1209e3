"""The peer's addresses in one connection (RFC 8684, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import RemoteAddress


class Remotes:
    """The addresses of the peer by their ids.

    :param initial: the address of the first subflow, which has id 0.
    :ivar initial_denied: whether the peer accepts no join to the initial address: it set the C flag
        (section 3.1), or withdrew the address.
    """

    __slots__ = ("_early", "_initial", "_others", "initial_denied")

    def __init__(self, initial: Address) -> None:
        self.initial_denied = False
        self._initial = RemoteAddress(0, initial)
        # Most peers announce no address, so there are no dictionaries before the first one.
        self._others: dict[int, RemoteAddress] | None = None
        self._early: dict[int, RemoteAddress] | None = None  # announced before the manager started

    @property
    def all(self) -> Sequence[RemoteAddress]:
        """All addresses, the initial one first."""
        return [self._initial, *(self._others or {}).values()]

    def find(self, number: int) -> RemoteAddress | None:
        """Return the address with an id."""
        return (self._others or {}).get(number) if number else self._initial

    def announced(self, remote: RemoteAddress, *, early: bool) -> None:
        """Record an address that the peer has announced. Its id is not 0.

        :param early: whether the path manager is informed later, by :meth:`take_early`.
        """
        self._others = self._others or {}
        self._others[remote.id] = remote
        if early:
            self._early = self._early or {}
            self._early[remote.id] = remote

    def take_early(self) -> Sequence[RemoteAddress]:
        """Return once the addresses that the path manager was not informed of."""
        early, self._early = self._early or {}, None
        return list(early.values())

    def withdrawn(self, number: int) -> None:
        """Record that the peer has withdrawn an address. The initial one stays in the list."""
        for known in (self._early, self._others):
            if known:
                known.pop(number, None)
        self.initial_denied |= not number

    def deny_initial(self, *, denied: bool) -> None:
        """Record the C flag of the first subflow's handshake."""
        self.initial_denied |= denied
