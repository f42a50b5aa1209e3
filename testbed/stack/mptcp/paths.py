"""The paths of a connection: addresses, pending joins, and commands on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import ResetReason
from testbed.stack.connection import ErrorKind
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.failures import Failures
from testbed.stack.mptcp.info import PathCounts, joined
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.local_ids import LocalIds
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_commands import PathCommands
from testbed.stack.mptcp.path_events import closed_subflow, ends, remote_address, subflow_fields
from testbed.stack.mptcp.path_manager.base import (
    Command,
    OpenSubflow,
    PathEndpoint,
    PathError,
    PathManager,
    RemoteAddress,
    SubflowPath,
    same_family,
)
from testbed.stack.mptcp.peer_options import PeerOptions
from testbed.stack.mptcp.pending_joins import PendingJoins
from testbed.stack.mptcp.probe import Probes
from testbed.stack.mptcp.remotes import Remotes
from testbed.stack.mptcp.signals import Signals
from testbed.stack.mptcp.subflow import Subflow


class Owner(Protocol):
    """The services of the connection that its paths need."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    def join(self, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN, or do nothing if that is impossible."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Trace an event."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""

    def touch(self) -> None:
        """Request a step of the connection."""


class ConnectionPaths:
    """The paths of one connection.

    Path managers see it as :class:`testbed.stack.mptcp.path_manager.base.Paths`.

    Programs use it through :class:`testbed.stack.mptcp.path_control.PathControl`.

    :param subflows: the subflows of the connection, which adds and removes them.
    :param flow: the two ends of the first subflow.
    :ivar initial: the path of the first subflow.
    :ivar started: whether the connection is fully established, so that it may have additional
        subflows.
    """

    def __init__(
        self,
        owner: Owner,
        keys: Keys,
        subflows: Sequence[Subflow],
        config: MptcpConfig,
        manager: PathManager,
        network: LocalNetwork,
        flow: Flow,
    ) -> None:
        self.initiator = owner.initiator
        self.initial = initial = SubflowPath.initial(flow)
        self.local_ids = LocalIds(initial.local_host, config.endpoints)
        self.signals = Signals(keys, subflows, config.announce_ns, owner.count)
        self._owner = owner
        self._subflows = subflows
        self._joins = PendingJoins(subflows, owner, config.join_retries)
        self._executor: PathCommands | None = None  # made for the first command
        self._manager = manager
        self._network = network
        self._remotes = Remotes(initial.remote)
        self._probes = Probes()  # probes of subflows whose address was withdrawn
        self._failures = Failures()
        self._peer: PeerOptions | None = None  # made for the first option
        self._endpoints = config.endpoints
        self._limits = config.limits
        self.started = False
        self._open = True

    # Properties for a path manager.

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """The subflows, and those that this side is opening.

        Half-open joins of the peer do not count, because a SYN proves nothing. Subflows that this
        side has closed do not count either, so that others may replace them.
        """
        there = [
            one.path
            for one in self._subflows
            if (not one.phase.left if one.initiated else one.number == 0 or one.announced_up)
        ]
        return [*there, *self._joins.paths]

    @property
    def remotes(self) -> Sequence[RemoteAddress]:
        """The peer's addresses, the initial one first."""
        return self._remotes.all

    @property
    def join_initial_denied(self) -> bool:
        """Whether the peer accepts no join to its initial address."""
        return self._remotes.initial_denied

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""
        return self._network.hosts

    def local_id(self, host: str) -> int | None:
        """Return the id of a local address, or ``None`` if no id is free."""
        return self.local_ids.of(host)

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""
        return self._network.source_for(remote_host)

    def described(self) -> dict[str, object]:
        """Return the ends of the first subflow as fields of the kernel's events."""
        return {**ends(self.initial.flow), "server_side": not self.initiator}

    def events(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield events that describe the present state."""
        yield "created", self.described()
        if self.started:
            yield "established", self.described()
        for remote in self._remotes.all:
            if remote.id:
                yield "announced", remote_address(remote)
        for subflow in self._subflows:
            if subflow.announced_up:
                yield "sub_established", subflow_fields(subflow)

    def counts(self) -> PathCounts:
        """Return the numbers of addresses and endpoints, and the limits."""
        mine = [one.path for one in self._subflows if one.initiated and one.number]
        return PathCounts(
            add_addr_signal=len(self._executor.announced) if self._executor else 0,
            add_addr_accepted=len({path.remote_id for path in mine} - {0}),
            subflows_max=self._limits.subflows,
            add_addr_signal_max=sum(one.signal for one in self._endpoints),
            add_addr_accepted_max=self._limits.add_addr_accepted,
            local_addr_used=len({path.local_id for path in mine} - {0}),
            local_addr_max=sum(one.subflow for one in self._endpoints),
        )

    # Pending work.

    def execute(self, command: Command, now: int) -> None:
        """Execute a command. Its segments leave with the next ones of the endpoint.

        :raises PathError: the command cannot be carried out.
        """
        if not self._active:
            raise PathError("the connection has not begun, has ended, or is plain TCP")
        self._commands.execute(command, now)
        self._joins.send(now, possible=self._open)
        self._owner.touch()

    # Events.

    def start(self, first: Subflow, now: int) -> None:
        """Start the path manager, as the connection is fully established."""
        self.started = True
        self._remotes.deny_initial(denied=first.opening.join_denied)
        self._owner.trace("established", now, **self.described())
        self._do(self._manager.established(self), now)
        for remote in self._remotes.take_early():
            self._do(self._manager.announced(self, remote), now)

    def set_open(self, is_open: bool) -> None:
        """Record whether the connection allows additional subflows."""
        self._open = is_open

    def accepts_join(self, local: Address, *, listening: bool) -> bool:
        """Return whether the peer may open one more subflow; see :class:`PathManager`."""
        return self._active and self._manager.accepts_join(self, local, listening=listening)

    def is_backup(self, host: str) -> bool:
        """Return whether subflows from a local address are backups."""
        return any(one.backup and one.host == host for one in self._endpoints)

    def address_added(self, host: str, now: int) -> None:
        """Process a new address of the host.

        A connection without subflows continues from this address, for any answer of the manager.
        """
        self._failures.forget_local(host)
        if self._active:
            self._do(self._manager.address_added(self, host), now)
            self._revive(host, now)

    def address_removed(self, host: str, now: int) -> None:
        """Process the loss of a local address: end its subflows at once, and inform the peer."""
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                self._commands.end(subflow)
        if self._active:
            self._do(self._manager.address_removed(self, host), now)

    def carrier_lost(self, host: str) -> None:
        """Process the loss of an interface's carrier. Its subflows stay: the carrier may return.

        Other subflows carry their data meanwhile.
        """
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                subflow.suspect()

    def carrier_returned(self, host: str, now: int) -> None:
        """Process the return of the carrier of an address's interface."""
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                subflow.trust()
        self._failures.forget_local(host)
        self._revive(host, now)

    def endpoint_added(self, endpoint: PathEndpoint, now: int) -> None:
        """Process a new endpoint of the host."""
        self._endpoints = (*self._endpoints, endpoint)
        self.local_ids.claim(endpoint.host, endpoint.id)
        self._failures.forget_local(endpoint.host)
        wanted = list(self._manager.endpoint_added(self, endpoint))
        if self._active:
            self._do(wanted, now)

    def endpoint_changed(self, old: PathEndpoint, new: PathEndpoint, now: int) -> None:
        """Process a change of an endpoint's flags. MP_PRIO requests the new ``backup``."""
        self._endpoints = tuple(new if one == old else one for one in self._endpoints)
        wanted = list(self._manager.endpoint_changed(self, old, new))
        for subflow in self._of(new) if old.backup != new.backup else ():
            if not subflow.fallback:  # a subflow that is being opened sends it later
                subflow.ask_backup(backup=new.backup)
        if self._active:
            self._do(wanted, now)

    def endpoint_removed(self, endpoint: PathEndpoint, now: int) -> None:
        """Process the removal of an endpoint: end its subflows, and inform the peer."""
        self._endpoints = tuple(one for one in self._endpoints if one != endpoint)
        wanted = list(self._manager.endpoint_removed(self, endpoint))
        if self._active:
            for subflow in self._of(endpoint):
                self._commands.close(subflow)
            self._do(wanted, now)
        self.local_ids.remove(endpoint)

    def absorb(self, subflow: Subflow, now: int) -> bool:
        """Process the records of one subflow; return whether it has become usable."""
        inbound = subflow.inbound
        if inbound.heard_dss and not self._joins.allowed:
            self._joins.allow()
            self._joins.send(now, possible=self._open)
        usable = self._confirm(subflow, now)
        while inbound.messages:
            self._peer_options().take(inbound.take_message(), subflow, self, now)
        return usable

    @property
    def _commands(self) -> PathCommands:
        if self._executor is None:
            self._executor = PathCommands(
                self._subflows,
                self.local_ids,
                self.signals,
                self._joins,
                self._network,
                self._owner.count,
            )
        return self._executor

    def _peer_options(self) -> PeerOptions:
        if self._peer is None:
            self._peer = PeerOptions(
                self._owner,
                self._subflows,
                self.signals,
                self._remotes,
                self._probes,
                self._failures,
            )
        return self._peer

    def lost(self, subflow: Subflow, now: int) -> None:
        """Process the end of a subflow, or its failure to open.

        If it was the last subflow, and this side has not ended it, each remaining path is tried
        once (section 3.3.3: break before make).
        """
        self._probes.forget(subflow)
        if subflow.announced_up or subflow.initiated or not subflow.number:
            self._trace_closed(subflow, now)
        failed = subflow.initiated and _failed(subflow)
        if failed:
            self._failures.add(subflow.path)
        if self._active:
            self._do(self._manager.subflow_closed(self, subflow.path), now)
        if (failed or joined(subflow)) and _broken(subflow):
            for host in self.local_hosts:
                self._revive(host, now)

    def forget(self, subflow: Subflow, now: int) -> None:
        """Forget a subflow that ended with its connection."""
        self._probes.forget(subflow)
        if subflow.announced_up:
            self._trace_closed(subflow, now)

    def step(self, now: int) -> None:
        """Send the signals that are due."""
        self.signals.send_due(now)

    def next_timer(self) -> int | None:
        """Return the time at which :meth:`handle_timer` is due."""
        due = self.signals.next_due()
        for other in (self._joins.next_timer(), self._probes.next_timer()):
            if other is not None and (due is None or other < due):
                due = other
        return due

    def handle_timer(self, now: int) -> None:
        """Handle the signals that got no answer in time."""
        self._probes.handle_timer(now)
        self._joins.handle_timer(now)

    @property
    def _active(self) -> bool:
        """Whether the connection may have additional subflows."""
        return self.started and self._open

    def _confirm(self, subflow: Subflow, now: int) -> bool:
        """Follow the handshake of a join; return whether it has just succeeded."""
        if subflow.number == 0 or subflow.announced_up:
            return False
        if subflow.confirmed and not self._admits(subflow):
            subflow.reset(ResetReason.PROHIBITED)
        elif subflow.confirmed:
            subflow.opening.answered()
            subflow.announce_up()
            self._owner.count("MPJoinSynAckRx" if subflow.initiated else "MPJoinAckRx")
            self._owner.trace("sub_established", now, **subflow_fields(subflow))
            if not subflow.initiated:
                subflow.tcp.request_ack()  # this is the fourth ACK
        elif subflow.accepted and subflow.opening.retry_ns is None:
            subflow.opening.await_answer(now, subflow.tcp.rto_ns)
        return subflow.announced_up

    def take_announced(self, remote: RemoteAddress, now: int) -> None:
        """The peer has announced an address: the manager sees it once the connection is sure."""
        self._do(self._manager.announced(self, remote), now)

    def take_withdrawn(self, remote: RemoteAddress, now: int) -> None:
        """The peer has withdrawn an address that it had announced."""
        self._do(self._manager.withdrawn(self, remote), now)

    def _do(self, commands: Iterable[Command], now: int) -> None:
        """Execute the commands of the manager, except those that have become impossible.

        Joins that have failed before are skipped as well. A program may try them again.
        """
        for command in list(commands):
            if isinstance(command, OpenSubflow) and self._failures.have(
                command.local_host, command.remote.address
            ):
                continue
            with contextlib.suppress(PathError):
                self.execute(command, now)

    def _trace_closed(self, subflow: Subflow, now: int) -> None:
        self._owner.trace("sub_closed", now, **closed_subflow(subflow))

    def _of(self, endpoint: PathEndpoint) -> list[Subflow]:
        """Return the subflows of an endpoint."""
        return [
            one
            for one in self._subflows
            if one.path.local_host == endpoint.host and endpoint.port in (None, one.path.local_port)
        ]

    def _revive(self, host: str, now: int) -> None:
        """Open a subflow from an address if the connection has lost all subflows."""
        if self._active and self.initiator and not self.open_paths:
            self._do(self._revival(host), now)

    def _revival(self, host: str) -> Iterable[Command]:
        """Return the path from an address to the first joinable address of the peer."""
        number = self.local_id(host)
        for remote in self.remotes:
            denied = remote.id == 0 and self.join_initial_denied
            denied |= self._failures.have(host, remote.address)
            if number is not None and not denied and same_family(host, remote.address.host):
                yield OpenSubflow(local_host=host, local_id=number, remote=remote)
                return

    def _admits(self, subflow: Subflow) -> bool:
        """Return whether a completed join may stay."""
        local = subflow.tcp.flow.local
        return subflow.initiated or self.accepts_join(local, listening=True)


def _broken(subflow: Subflow) -> bool:
    """Return whether the peer or the path ended a subflow."""
    failure = subflow.tcp.failure
    return failure is not None and failure.kind is not ErrorKind.ABORTED


def _failed(subflow: Subflow) -> bool:
    """Return whether a subflow failed to join, or the peer forbids another attempt.

    The peer forbids it by an MP_TCPRST without the T flag (section 3.6).
    """
    reset = subflow.inbound.reset
    if reset is not None:
        return not reset.transient
    return bool(subflow.number) and not subflow.announced_up
