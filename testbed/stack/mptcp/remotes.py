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

    __slots__ = ("_by_id", "_early", "initial_denied")

    def __init__(self, initial: Address) -> None:
        self.initial_denied = False
        self._by_id = {0: RemoteAddress(0, initial)}
        self._early: dict[int, RemoteAddress] = {}  # addresses announced before the manager started

    @property
    def all(self) -> Sequence[RemoteAddress]:
        """All addresses, the initial one first."""
        return list(self._by_id.values())

    def find(self, number: int) -> RemoteAddress | None:
        """Return the address with an id."""
        return self._by_id.get(number)

    def announced(self, remote: RemoteAddress, *, early: bool) -> None:
        """Record an address that the peer has announced.

        :param early: whether the path manager is informed later, by :meth:`take_early`.
        """
        self._by_id[remote.id] = remote
        if early:
            self._early[remote.id] = remote

    def take_early(self) -> Sequence[RemoteAddress]:
        """Return once the addresses that the path manager was not informed of."""
        early, self._early = self._early, {}
        return list(early.values())

    def withdrawn(self, number: int) -> None:
        """Record that the peer has withdrawn an address. The initial one stays in the list."""
        self._early.pop(number, None)
        if number:
            self._by_id.pop(number, None)
        else:
            self.initial_denied = True

    def deny_initial(self, *, denied: bool) -> None:
        """Record the C flag of the first subflow's handshake."""
        self.initial_denied |= denied
