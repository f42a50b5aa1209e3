"""The interface of path managers: one decides which addresses are announced, which subflows opened.

A manager belongs to one connection.  It is told what happened, sees the connection through
:class:`Paths`, and answers with commands; it does nothing itself.  A program gives the same
commands to :class:`testbed.stack.mptcp.path_control.PathControl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from testbed.packet.address import Address, Flow

NO_IDS: Final[frozenset[int]] = frozenset()  # one for all: each made anew takes 216 octets


class PathError(ValueError):
    """A command that cannot be carried out; it says why."""


class PathEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A local address the manager may use, as ``ip mptcp endpoint`` describes one."""

    host: str
    id: int
    subflow: bool = False
    signal: bool = False
    backup: bool = False
    fullmesh: bool = False
    laminar: bool = False
    port: int | None = None


class PathLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``ip mptcp limits``: further subflows of a connection, and ADD_ADDRs it takes up."""

    subflows: int = 8
    add_addr_accepted: int = 8


class RemoteAddress(msgspec.Struct, frozen=True):
    """An address of the peer and the id it gave it; 0 is the one that was connected to first."""

    id: int
    address: Address


class SubflowPath(msgspec.Struct, frozen=True, kw_only=True):
    """A subflow that is open or being opened.

    :param local_port: 0 before the SYN leaves.
    """

    local_host: str
    local_port: int = 0
    local_id: int
    remote: Address
    remote_id: int

    @property
    def flow(self) -> Flow:
        """Its two ends, by which commands name it."""
        return Flow(Address(self.local_host, self.local_port), self.remote)


class Paths(Protocol):
    """A manager's view of its connection."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    @property
    def initial(self) -> SubflowPath:
        """The first subflow's path, open or not: ids 0 at both ends."""

    @property
    def join_initial_denied(self) -> bool:
        """Whether the peer takes no join to its initial address (the C flag, section 3.1)."""

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """The subflows there are, those being opened too."""

    @property
    def remotes(self) -> Sequence[RemoteAddress]:
        """The peer's addresses: the initial one and those it has announced, not withdrawn."""

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def local_id(self, host: str) -> int | None:
        """Return the id of a local address, ``None`` if there are no more ids."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another, ``None`` if there is none."""


class Command(msgspec.Struct, frozen=True):
    """Base of what can be done to the paths of a connection."""


class OpenSubflow(Command, frozen=True, kw_only=True):
    """Send MP_JOIN (section 3.2), as soon as the peer has sent a DSS.

    There may be several subflows between the same addresses: each has a local port of its own.
    """

    local_host: str
    local_id: int
    remote: RemoteAddress
    backup: bool = False


class CloseSubflow(Command, frozen=True, kw_only=True):
    """End a subflow by FIN, after what it was given; one that is not joined yet, by RST."""

    flow: Flow


class SetBackup(Command, frozen=True, kw_only=True):
    """Send MP_PRIO (section 3.3.8): the subflow is a backup, or none any more.

    This side acts on it, too.  The request rides on one ACK: if that is lost, the peer goes on as
    before, which does no harm; and it need not obey.
    """

    flow: Flow
    backup: bool


class Announce(Command, frozen=True, kw_only=True):
    """Send ADD_ADDR until its echo comes (section 3.4.1)."""

    id: int
    host: str
    port: int | None = None


class Withdraw(Command, frozen=True, kw_only=True):
    """Send REMOVE_ADDR on each surviving subflow, end those of the address (section 3.4.2)."""

    id: int


class PathManager(Protocol):
    """Decides; told of everything asynchronously, after it happened."""

    def established(self, paths: Paths) -> Iterable[Command]:
        """The first subflow is fully established: joins are possible."""

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """The peer has announced an address."""

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """The peer has withdrawn an address; its subflows are closed."""

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """A subflow is gone, or could not be opened."""

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """The host has a further address."""

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """The host has an address no more.  That an interface is down is not told."""

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """There is a further endpoint.

        Before ``established`` what is wanted is not done: that call has its turn yet.
        """

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """The flags ``backup`` or ``fullmesh`` of an endpoint are others now.

        The peers of its subflows are told of the former, whatever the manager answers.
        """

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """There is an endpoint no more; its subflows are closed."""

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the peer may open one more subflow.

        :param local: where it comes to.
        :param listening: an application has opened this port.
        """


class Passive:
    """Answers nothing: what managers inherit that act on few events."""

    def established(self, paths: Paths) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Do nothing: to open a subflow again and again would not mend its path."""
        return ()

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """Do nothing."""
        return ()

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Do nothing."""
        return ()


def same_family(host: str, other: str) -> bool:
    """Tell whether two addresses are of one family."""
    return (":" in host) == (":" in other)
