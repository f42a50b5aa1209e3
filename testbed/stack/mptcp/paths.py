"""The paths of a connection: addresses, joins under way, and the commands on them."""

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
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event."""

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""

    def touch(self) -> None:
        """Ask for a step."""


class ConnectionPaths:
    """See :class:`testbed.stack.mptcp.path_manager.base.Paths` for what a manager sees of this.

    Programs come here by :class:`testbed.stack.mptcp.path_control.PathControl`.

    :param subflows: those of the connection, which adds and removes them.
    :param flow: the two ends of the first subflow.
    :ivar initial: the path of the first subflow.
    :ivar started: the connection is fully established, so there may be further subflows.
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
        self.initial = initial = SubflowPath(
            local_host=flow.local.host,
            local_port=flow.local.port,
            local_id=0,
            remote=flow.remote,
            remote_id=0,
        )
        self.local_ids = LocalIds(initial.local_host, config.endpoints)
        count = owner.count
        self.signals = Signals(keys, subflows, config.announce_ns, count)
        self._owner = owner
        self._subflows = subflows
        self._joins = PendingJoins(subflows, owner.join, config.join_retries)
        self._commands = PathCommands(
            subflows, self.local_ids, self.signals, self._joins, network, count
        )
        self._manager = manager
        self._network = network
        self._remotes = Remotes(initial.remote)
        self._probes = Probes()  # of subflows whose address was withdrawn
        self._failures = Failures()
        self._peer = PeerOptions(
            owner, self, subflows, self.signals, self._remotes, self._probes, self._failures
        )
        self._endpoints = config.endpoints
        self._limits = config.limits
        self.started = False
        self._open = True

    # What a manager sees.

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """The subflows there are, and those this side is opening.

        Half-open joins of the peer do not count: its SYN proves nothing.  Nor do those of this
        side that it has closed: others may take their place.
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
        """Whether the peer takes no join to its initial address."""
        return self._remotes.initial_denied

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""
        return self._network.hosts

    def local_id(self, host: str) -> int | None:
        """Return the id of a local address, ``None`` if there are no more ids."""
        return self.local_ids.of(host)

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another."""
        return self._network.source_for(remote_host)

    def described(self) -> dict[str, object]:
        """Return the first subflow's ends in the words of the kernel's events."""
        return {**ends(self.initial.flow), "server_side": not self.initiator}

    def events(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield the events that tell of what there is now."""
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
        """Return how many addresses and endpoints there are, and the limits."""
        mine = [one.path for one in self._subflows if one.initiated and one.number]
        return PathCounts(
            add_addr_signal=len(self._commands.announced),
            add_addr_accepted=len({path.remote_id for path in mine} - {0}),
            subflows_max=self._limits.subflows,
            add_addr_signal_max=sum(one.signal for one in self._endpoints),
            add_addr_accepted_max=self._limits.add_addr_accepted,
            local_addr_used=len({path.local_id for path in mine} - {0}),
            local_addr_max=sum(one.subflow for one in self._endpoints),
        )

    # What is to be done.

    def execute(self, command: Command, now: int) -> None:
        """Carry out a command; the segments leave with the endpoint's next ones.

        :raises PathError: it cannot be carried out.
        """
        if not self._active:
            raise PathError("the connection has not begun, has ended, or is plain TCP")
        self._commands.execute(command, now)
        self._joins.send(now, possible=self._open)
        self._owner.touch()

    # What happens.

    def start(self, first: Subflow, now: int) -> None:
        """The connection is fully established: the manager may begin."""
        self.started = True
        self._remotes.deny_initial(denied=first.opening.join_denied)
        self._owner.trace("established", now, **self.described())
        self._do(self._manager.established(self), now)
        for remote in self._remotes.take_early():
            self._do(self._manager.announced(self, remote), now)

    def set_open(self, is_open: bool) -> None:
        """Take whether there may be further subflows, as far as the connection is concerned."""
        self._open = is_open

    def accepts_join(self, local: Address, *, listening: bool) -> bool:
        """Tell whether the peer may open one more subflow; see :class:`PathManager`."""
        return self._active and self._manager.accepts_join(self, local, listening=listening)

    def is_backup(self, host: str) -> bool:
        """Tell whether subflows from a local address are to be backups."""
        return any(one.backup and one.host == host for one in self._endpoints)

    def address_added(self, host: str, now: int) -> None:
        """The host has a further address.

        A connection that has lost all its subflows goes on from there, whatever the manager wants.
        """
        self._failures.forget_local(host)
        if self._active:
            self._do(self._manager.address_added(self, host), now)
            self._revive(host, now)

    def address_removed(self, host: str, now: int) -> None:
        """The host has lost an address: its subflows end at once, and the peer hears of it."""
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                self._commands.end(subflow)
        if self._active:
            self._do(self._manager.address_removed(self, host), now)

    def carrier_lost(self, host: str) -> None:
        """The interface of an address has lost its carrier: that may pass, so subflows stay.

        Others carry their data meanwhile.
        """
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                subflow.suspect()

    def carrier_returned(self, host: str, now: int) -> None:
        """The interface of an address has a carrier again."""
        for subflow in self._subflows:
            if subflow.path.local_host == host:
                subflow.trust()
        self._failures.forget_local(host)
        self._revive(host, now)

    def endpoint_added(self, endpoint: PathEndpoint, now: int) -> None:
        """The host has a further endpoint."""
        self._endpoints = (*self._endpoints, endpoint)
        self.local_ids.claim(endpoint.host, endpoint.id)
        self._failures.forget_local(endpoint.host)
        wanted = list(self._manager.endpoint_added(self, endpoint))
        if self._active:
            self._do(wanted, now)

    def endpoint_changed(self, old: PathEndpoint, new: PathEndpoint, now: int) -> None:
        """Flags of an endpoint are others now; the peer is asked to go by ``backup``."""
        self._endpoints = tuple(new if one == old else one for one in self._endpoints)
        wanted = list(self._manager.endpoint_changed(self, old, new))
        for subflow in self._of(new) if old.backup != new.backup else ():
            if not subflow.fallback:  # one that is being opened tells it later
                subflow.ask_backup(backup=new.backup)
        if self._active:
            self._do(wanted, now)

    def endpoint_removed(self, endpoint: PathEndpoint, now: int) -> None:
        """The host has an endpoint no more: its subflows end, and the peer hears of it."""
        self._endpoints = tuple(one for one in self._endpoints if one != endpoint)
        wanted = list(self._manager.endpoint_removed(self, endpoint))
        if self._active:
            for subflow in self._of(endpoint):
                self._commands.close(subflow)
            self._do(wanted, now)
        self.local_ids.remove(endpoint)

    def absorb(self, subflow: Subflow, now: int) -> bool:
        """Act on what one subflow has recorded; tell whether it can be used from now on."""
        if subflow.inbound.heard_dss and not self._joins.allowed:
            self._joins.allow()
            self._joins.send(now, possible=self._open)
        usable = self._confirm(subflow, now)
        while (option := subflow.inbound.next_message()) is not None:
            self._peer.take(option, subflow, now)
        return usable

    def lost(self, subflow: Subflow, now: int) -> None:
        """A subflow of a living connection is gone, or could not be opened.

        Where it was the last one, and this side has not ended it, each path that is left is tried
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
        """A subflow is gone with its connection."""
        self._probes.forget(subflow)
        if subflow.announced_up:
            self._trace_closed(subflow, now)

    def step(self, now: int) -> None:
        """Send the signals that are due."""
        self.signals.send_due(now)

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        due = self.signals.next_due()
        for other in (self._joins.next_timer(), self._probes.next_timer()):
            if other is not None and (due is None or other < due):
                due = other
        return due

    def handle_timer(self, now: int) -> None:
        """Look after what was sent and not answered."""
        self._probes.handle_timer(now)
        self._joins.handle_timer(now)

    @property
    def _active(self) -> bool:
        """Whether there may be further subflows."""
        return self.started and self._open

    def _confirm(self, subflow: Subflow, now: int) -> bool:
        """Follow the handshake of a join; tell whether it has ended well just now."""
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
                subflow.tcp.request_ack()  # the fourth ACK
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
        """Carry out what the manager wants; what cannot be done any more is left out.

        So is a join that has failed; a program may try it again.
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
        """Return the subflows that an endpoint is the local end of."""
        return [
            one
            for one in self._subflows
            if one.path.local_host == endpoint.host and endpoint.port in (None, one.path.local_port)
        ]

    def _revive(self, host: str, now: int) -> None:
        """Go on from an address, if the connection has lost all its subflows."""
        if self._active and self.initiator and not self.open_paths:
            self._do(self._revival(host), now)

    def _revival(self, host: str) -> Iterable[Command]:
        """Return how to go on from an address: to the first of the peer's that can be joined."""
        number = self.local_id(host)
        for remote in self.remotes:
            denied = remote.id == 0 and self.join_initial_denied
            denied |= self._failures.have(host, remote.address)
            if number is not None and not denied and same_family(host, remote.address.host):
                yield OpenSubflow(local_host=host, local_id=number, remote=remote)
                return

    def _admits(self, subflow: Subflow) -> bool:
        """Tell whether a join that is complete may stay."""
        local = subflow.tcp.flow.local
        return subflow.initiated or self.accepts_join(local, listening=True)


def _broken(subflow: Subflow) -> bool:
    """Tell whether a subflow was ended by the peer, or something on the path."""
    failure = subflow.tcp.failure
    return failure is not None and failure.kind is not ErrorKind.ABORTED


def _failed(subflow: Subflow) -> bool:
    """Tell whether a subflow was never joined, or the peer has said that it must not be again.

    The latter is an MP_TCPRST without the T flag (section 3.6).
    """
    reset = subflow.inbound.reset
    if reset is not None:
        return not reset.transient
    return bool(subflow.number) and not subflow.announced_up
