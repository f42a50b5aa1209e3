"""The interface of path managers, which announce addresses and open subflows.

A manager belongs to one connection. The connection calls it after each event. The manager reads the
connection through :class:`Paths` and returns commands, which the connection executes. Programs
issue the same commands through :class:`testbed.stack.mptcp.path_control.PathControl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from testbed.packet.address import Address, Flow

NO_IDS: Final[frozenset[int]] = frozenset()  # shared, because each new one takes 216 octets


class PathError(ValueError):
    """A command cannot be carried out; the message says why."""


class PathEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A local address that the manager may use, with the fields of ``ip mptcp endpoint``."""

    host: str
    id: int
    subflow: bool = False
    signal: bool = False
    backup: bool = False
    fullmesh: bool = False
    laminar: bool = False
    port: int | None = None


class PathLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``ip mptcp limits``: additional subflows of a connection, and ADD_ADDRs that it accepts."""

    subflows: int = 8
    add_addr_accepted: int = 8


class RemoteAddress(msgspec.Struct, frozen=True):
    """An address of the peer with its id; id 0 is the address of the first subflow."""

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

    @classmethod
    def initial(cls, flow: Flow) -> SubflowPath:
        """Return the path of the first subflow, whose ids are 0."""
        local, remote = flow
        return cls(
            local_host=local.host, local_port=local.port, local_id=0, remote=remote, remote_id=0
        )

    @property
    def flow(self) -> Flow:
        """Its two ends, which identify it in commands."""
        return Flow(Address(self.local_host, self.local_port), self.remote)


class Paths(Protocol):
    """A manager's view of its connection."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    @property
    def initial(self) -> SubflowPath:
        """The path of the first subflow, open or not. Both ids are 0."""

    @property
    def join_initial_denied(self) -> bool:
        """Whether the peer accepts no join to its initial address (the C flag, section 3.1)."""

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """All subflows, including those that are being opened."""

    @property
    def remotes(self) -> Sequence[RemoteAddress]:
        """The peer's initial address, and those that it announced and did not withdraw."""

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def local_id(self, host: str) -> int | None:
        """Return the id of a local address, or ``None`` if no id is free."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""


class Command(msgspec.Struct, frozen=True):
    """The base class of commands on the paths of a connection."""


class OpenSubflow(Command, frozen=True, kw_only=True):
    """Send MP_JOIN (section 3.2) as soon as the peer has sent a DSS.

    Several subflows may use the same two addresses. Each has its own local port.
    """

    local_host: str
    local_id: int
    remote: RemoteAddress
    backup: bool = False


class CloseSubflow(Command, frozen=True, kw_only=True):
    """Close a subflow by FIN after its data. A subflow that has not joined yet is reset."""

    flow: Flow


class SetBackup(Command, frozen=True, kw_only=True):
    """Send MP_PRIO (section 3.3.8): the subflow becomes a backup, or stops being one.

    This side follows it as well. The option travels on one ACK and is not repeated. If it is lost,
    or the peer ignores it, the peer continues as before, which does no harm.
    """

    flow: Flow
    backup: bool


class Announce(Command, frozen=True, kw_only=True):
    """Send ADD_ADDR until its echo arrives (section 3.4.1)."""

    id: int
    host: str
    port: int | None = None


class Withdraw(Command, frozen=True, kw_only=True):
    """Send REMOVE_ADDR on each other subflow, and end those of the address (section 3.4.2)."""

    id: int


class PathManager(Protocol):
    """Returns commands after events. It is called asynchronously, after each event."""

    def established(self, paths: Paths) -> Iterable[Command]:
        """Called when the first subflow is fully established, so that joins are possible."""

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Called after the peer has announced an address."""

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Called after the peer has withdrawn an address. Its subflows are closed."""

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Called after a subflow has ended or could not be opened."""

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Called after the host got an address."""

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Called after the host lost an address. It is not called when an interface goes down."""

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Called after an endpoint was added.

        Commands that are returned before ``established`` are ignored: that call follows.
        """

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """Called after the flag ``backup`` or ``fullmesh`` of an endpoint has changed.

        MP_PRIO for ``backup`` is sent on its subflows for any answer of the manager.
        """

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Called after an endpoint was removed. Its subflows are closed."""

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Return whether the peer may open one more subflow.

        :param local: the local address and port of the join.
        :param listening: whether an application listens on this port.
        """


class Passive:
    """Returns no commands. Managers that act on few events inherit from it."""

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
        """Do nothing: opening a subflow again and again would not repair its path."""
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
    """Return whether two addresses have the same address family."""
    return (":" in host) == (":" in other)
