"""The peer's addresses in one connection (RFC 8684, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import RemoteAddress


class Remotes:
    """By the ids that the peer has given them.

    :param initial: the address of the first subflow, which has 0.
    :ivar initial_denied: the peer takes no join to it: the C flag of section 3.1, or it is
        withdrawn.
    """

    __slots__ = ("_by_id", "_early", "initial_denied")

    def __init__(self, initial: Address) -> None:
        self.initial_denied = False
        self._by_id = {0: RemoteAddress(0, initial)}
        self._early: dict[int, RemoteAddress] = {}  # announced before the manager has begun

    @property
    def all(self) -> Sequence[RemoteAddress]:
        """Those there are, the initial one first."""
        return list(self._by_id.values())

    def find(self, number: int) -> RemoteAddress | None:
        """Return the address that has an id."""
        return self._by_id.get(number)

    def announced(self, remote: RemoteAddress, *, early: bool) -> None:
        """Take an address that the peer has announced.

        :param early: the path manager is told later, by :meth:`take_early`.
        """
        self._by_id[remote.id] = remote
        if early:
            self._early[remote.id] = remote

    def take_early(self) -> Sequence[RemoteAddress]:
        """Return, once, those that the path manager has not been told of."""
        early, self._early = self._early, {}
        return list(early.values())

    def withdrawn(self, number: int) -> None:
        """Take that the peer has withdrawn an address; the initial one stays, for it is known."""
        self._early.pop(number, None)
        if number:
            self._by_id.pop(number, None)
        else:
            self.initial_denied = True

    def deny_initial(self, *, denied: bool) -> None:
        """Take what the first subflow's handshake said of joins to the initial address."""
        self.initial_denied |= denied
