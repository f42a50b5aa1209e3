"""The paths of a connection: addresses, joins under way, and the path manager's commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from testbed.stack.connection import ErrorKind
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.failures import Failures
from testbed.stack.mptcp.info import joined
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.local_ids import LocalIds
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    Command,
    Demote,
    OpenSubflow,
    PathEndpoint,
    PathManager,
    RemoteAddress,
    SubflowPath,
    Withdraw,
    same_family,
)
from testbed.stack.mptcp.probe import Probe
from testbed.stack.mptcp.signals import Signals
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.packet.address import Address, unmapped
from testbed.stack.packet.mptcp import AddAddr, MpJoinAck, MpPrio, RemoveAddr, ResetReason
from testbed.stack.packet.options import Option


class LocalNetwork(Protocol):
    """What the host knows of its own addresses."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another, ``None`` if there is none."""

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return a free local port for a subflow, and keep it from others.

        :raises OSError: none is free.
        """

    def release_port(self, local: Address) -> None:
        """Take a port of :meth:`port_for` back."""


class Owner(Protocol):
    """What path control asks of its connection."""

    def join(self, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event."""

    def touch(self) -> None:
        """Ask for a step."""


class PathControl:
    """See :class:`testbed.stack.mptcp.path_manager.base.Paths` for what a manager sees of this.

    :param subflows: those of the connection, which adds and removes them.
    :param initial: the path of the first subflow.
    """

    def __init__(
        self,
        owner: Owner,
        keys: Keys,
        subflows: Sequence[Subflow],
        config: MptcpConfig,
        manager: PathManager,
        network: LocalNetwork,
        initial: SubflowPath,
        *,
        initiator: bool,
    ) -> None:
        self.initiator = initiator
        self.initial = initial
        self.join_initial_denied = False
        self.local_ids = LocalIds(initial.local_host, config.endpoints)
        self.signals = Signals(keys, subflows, config.announce_ns)
        self._owner = owner
        self._subflows = subflows
        self._join_retries = config.join_retries
        self._manager = manager
        self._network = network
        self._remotes = {0: RemoteAddress(0, initial.remote)}
        self._probes: dict[Subflow, Probe] = {}  # of subflows whose address was withdrawn
        self._failures = Failures()
        self._endpoints = config.endpoints
        self._wanted: list[OpenSubflow] = []  # until a DSS has come (section 3.1)
        self._may_join = False
        self._started = False
        self._early: dict[int, RemoteAddress] = {}  # by id: announced before the manager began
        self._open = True

    # What a manager sees.

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """The subflows there are, and those this side is opening.

        Half-open joins of the peer do not count: its SYN proves nothing.
        """
        there = [
            one.path
            for one in self._subflows
            if one.initiated or one.number == 0 or one.announced_up
        ]
        return [*there, *map(_path_of, self._wanted)]

    @property
    def remotes(self) -> Sequence[RemoteAddress]:
        """The peer's addresses, the initial one first."""
        return list(self._remotes.values())

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

    # What happens.

    def start(self, first: Subflow, now: int) -> None:
        """The connection is fully established: the manager may begin."""
        self._started = True
        self.join_initial_denied |= first.opening.join_denied
        self._do(self._manager.established(self), now)
        early, self._early = self._early, {}
        for remote in early.values():
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
                subflow.reset(ResetReason.UNSPECIFIED)
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
        self.local_ids.add(endpoint)
        self._failures.forget_local(endpoint.host)
        wanted = list(self._manager.endpoint_added(self, endpoint))
        if self._active:
            self._do(wanted, now)

    def endpoint_changed(self, old: PathEndpoint, new: PathEndpoint) -> None:
        """An endpoint is a backup now, or none any more: the peer is asked to go by that."""
        self._endpoints = tuple(new if one == old else one for one in self._endpoints)
        self._manager.endpoint_changed(old, new)
        for subflow in self._subflows:
            local = subflow.tcp.flow.local
            mine = local.host == new.host and new.port in (None, local.port)
            if mine and not subflow.fallback:  # one that is being opened tells it later
                subflow.ask_backup(backup=new.backup)

    def endpoint_removed(self, endpoint: PathEndpoint, now: int) -> None:
        """The host has an endpoint no more: its subflows end, and the peer hears of it."""
        self._endpoints = tuple(one for one in self._endpoints if one != endpoint)
        self.local_ids.remove(endpoint)
        wanted = list(self._manager.endpoint_removed(self, endpoint))
        if self._active:
            for subflow in self._subflows:
                local = subflow.tcp.flow.local
                if local.host == endpoint.host and endpoint.port in (None, local.port):
                    subflow.reset(ResetReason.UNSPECIFIED)
            self._do(wanted, now)

    def absorb(self, subflow: Subflow, now: int) -> bool:
        """Act on what one subflow has recorded; tell whether it can be used from now on."""
        if subflow.inbound.heard_dss and not self._may_join:
            self._may_join = True
            self._open_wanted(now)
        usable = self._confirm(subflow, now)
        while (option := subflow.inbound.next_message()) is not None:
            self._handle(option, subflow, now)
        return usable

    def set_backup(self, number: int, *, backup: bool) -> None:
        """Ask the peer to use a subflow only while there is no other, or to use it again.

        This side does the same.  The request (MP_PRIO, section 3.3.8) rides on one ACK: if that is
        lost, the peer goes on as before, which does no harm; and it need not obey.

        :param number: of the subflow, as :func:`~testbed.stack.mptcp.info.describe` has it.
        :raises ValueError: there is no such subflow, or this has become plain TCP.
        """
        for subflow in self._subflows:
            if subflow.number == number and subflow.usable and not subflow.fallback:
                subflow.ask_backup(backup=backup)
                return
        raise ValueError(f"no MPTCP subflow has the number {number}")

    def lost(self, subflow: Subflow, now: int) -> None:
        """A subflow of a living connection is gone.

        Where it was the last one, and this side has not ended it, each path that is left is tried
        once (section 3.3.3: break before make).
        """
        self.forget(subflow, now)
        failed = subflow.initiated and _failed(subflow)
        if failed:
            self._failures.add(subflow.path)
        if self._active:
            self._do(self._manager.subflow_closed(self, subflow.path), now)
        if (failed or joined(subflow)) and _broken(subflow):
            for host in self.local_hosts:
                self._revive(host, now)

    def forget(self, subflow: Subflow, now: int) -> None:
        """A subflow is gone."""
        self._probes.pop(subflow, None)
        if subflow.announced_up:
            self._owner.trace("sub_closed", now, **_described(subflow), **_reset(subflow))

    def step(self, now: int) -> None:
        """Send the signals that are due."""
        self.signals.send_due(now)

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        due = self.signals.next_due()
        for subflow in self._subflows:
            retry_ns = subflow.opening.retry_ns
            if retry_ns is not None and (due is None or retry_ns < due):
                due = retry_ns
        for probe in self._probes.values():
            if due is None or probe.due_ns < due:
                due = probe.due_ns
        return due

    def handle_timer(self, now: int) -> None:
        """Send the third ACK of a join again (section 3.2), or give it up; likewise probes."""
        for subflow, probe in list(self._probes.items()):
            if probe.due_ns <= now and probe.expired(now):
                del self._probes[subflow]
        for subflow in self._subflows:
            opening = subflow.opening
            if opening.retry_ns is not None and opening.retry_ns <= now:
                opening.answered()
                if opening.tries > self._join_retries:
                    subflow.reset(ResetReason.UNSPECIFIED, transient=True)
                else:
                    subflow.tcp.request_ack()
                    opening.await_answer(now, subflow.tcp.rto_ns)

    @property
    def _active(self) -> bool:
        """Whether there may be further subflows."""
        return self._started and self._open

    def _confirm(self, subflow: Subflow, now: int) -> bool:
        """Follow the handshake of a join; tell whether it has ended well just now."""
        if subflow.number == 0 or subflow.announced_up:
            return False
        if subflow.confirmed and not self._admits(subflow):
            subflow.reset(ResetReason.PROHIBITED)
        elif subflow.confirmed:
            subflow.opening.answered()
            subflow.announce_up()
            self._owner.trace("sub_established", now, **_described(subflow))
            if not subflow.initiated:
                subflow.tcp.request_ack()  # the fourth ACK
        elif subflow.accepted and subflow.opening.retry_ns is None:
            subflow.opening.await_answer(now, subflow.tcp.rto_ns)
        return subflow.announced_up

    def _handle(self, option: Option, subflow: Subflow, now: int) -> None:
        match option:
            case AddAddr(hmac=None):
                self.signals.echoed(option)
            case AddAddr():
                self._announced(option, subflow, now)
            case RemoveAddr():
                for number in option.address_ids:
                    self._withdrawn(number, now)
            case MpPrio():
                subflow.asked_backup(option.backup)
                self._owner.trace("sub_priority", now, **_described(subflow))
            case MpJoinAck():
                subflow.tcp.request_ack()  # our fourth ACK was lost

    def _announced(self, option: AddAddr, subflow: Subflow, now: int) -> None:
        """Take an ADD_ADDR (section 3.4.1): echo it, and let the manager see it if it is new.

        An id must be withdrawn before another address may have it.
        """
        if not self.signals.authentic(option):
            return
        port = option.port or self.initial.remote.port  # nobody has port 0: as in Linux
        host = unmapped(option.address)
        remote = RemoteAddress(option.address_id, Address(host, port))
        known = self._remotes.get(remote.id)
        if known is not None and known.address.host != host:
            return
        # The peer knows our key, so the third ACK has arrived: no need to say it again.
        subflow.opening.confirm()
        self.signals.echo(subflow, option)
        refreshed = self._failures.forget_remote(remote.address)
        old = known == remote and not refreshed
        if option.address_id == 0 or old or host in self.local_hosts:
            return
        self._remotes[remote.id] = remote
        self._owner.trace("announced", now, rem_id=remote.id, daddr=host, dport=port)
        if self._started:
            self._do(self._manager.announced(self, remote), now)
        else:  # the option may overtake the first DSS
            self._early[remote.id] = remote
            subflow.stir()  # it is confirmed now

    def _withdrawn(self, number: int, now: int) -> None:
        """Take one id of a REMOVE_ADDR (section 3.4.2); an unknown one is ignored.

        The option proves nothing, so its subflows are probed first.  One whose peer answers stays:
        to end it is for the host that has sent the option.
        """
        gone = [one for one in self._subflows if one.path.remote_id == number]
        remote = self._remotes.get(number)
        if remote is None and not gone:
            return
        self._early.pop(number, None)
        if number:
            self._remotes.pop(number, None)
        else:
            self.join_initial_denied = True
        self._owner.trace("removed", now, rem_id=number)
        for subflow in gone:
            if subflow not in self._probes and subflow.sends:
                self._probes[subflow] = Probe(subflow, now)
        if remote is not None:
            self._failures.forget_remote(remote.address)
            self._do(self._manager.withdrawn(self, remote), now)

    def _do(self, commands: Iterable[Command], now: int) -> None:
        """Carry out what the manager wants."""
        for command in list(commands):
            match command:
                case OpenSubflow():
                    self._wanted.append(command)
                case Demote():
                    self._demote()
                case Announce():
                    self.signals.announce(command.id, command.host, command.port, now)
                case Withdraw():
                    self.signals.withdraw(command.id)
        self._open_wanted(now)
        self._owner.touch()

    def _open_wanted(self, now: int) -> None:
        """Send the joins that are wanted: not before a DSS has come (section 3.1)."""
        while self._wanted and self._may_join:
            command = self._wanted.pop(0)
            path = _path_of(command)
            there = [(one.local_host, one.remote) for one in self.open_paths]
            known = (path.local_host, path.remote) in there
            if self._open and not known and not self._failures.have(path.local_host, path.remote):
                self._owner.join(command, now)

    def _demote(self) -> None:
        for subflow in self._subflows:
            if subflow.number == 0:
                subflow.ask_backup(backup=True)

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


def _path_of(command: OpenSubflow) -> SubflowPath:
    return SubflowPath(
        local_host=command.local_host,
        local_id=command.local_id,
        remote=command.remote.address,
        remote_id=command.remote.id,
    )


def _described(subflow: Subflow) -> dict[str, object]:
    """Return a subflow in the words of the kernel's events."""
    flow = subflow.tcp.flow
    return {
        "loc_id": subflow.path.local_id,
        "rem_id": subflow.path.remote_id,
        "saddr": flow.local.host,
        "sport": flow.local.port,
        "daddr": flow.remote.host,
        "dport": flow.remote.port,
        "backup": subflow.backup,
    }


def _reset(subflow: Subflow) -> dict[str, object]:
    """Return what the peer's RST said, in the words of the kernel's events."""
    said = subflow.inbound.reset
    if said is None:
        return {}
    return {"reset_reason": said.reason, "reset_flags": said.flags | said.transient}
