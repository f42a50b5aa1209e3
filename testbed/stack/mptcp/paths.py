"""The paths of a connection: addresses, joins under way, and the path manager's commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from testbed.stack.mptcp.path_manager import (
    Announce,
    Command,
    OpenSubflow,
    PathManager,
    RemoteAddress,
    SubflowPath,
    Withdraw,
)
from testbed.stack.mptcp.signals import Signals
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.packet.address import Address
from testbed.stack.packet.mptcp import AddAddr, MpJoinAck, MpPrio, RemoveAddr, ResetReason
from testbed.stack.packet.options import Option
from testbed.stack.tcp.state import State

if TYPE_CHECKING:
    from testbed.stack.mptcp.connection import MptcpConnection

_JOIN_RETRY_NS: Final = 1_000_000_000


class LocalNetwork(Protocol):
    """What the host knows of its own addresses."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another, ``None`` if there is none."""

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return a free local port for a subflow, and keep it from others."""

    def release_port(self, local: Address) -> None:
        """Take a port of :meth:`port_for` back."""


class Joiner(Protocol):
    """Opens subflows."""

    def join(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def release(self, local: Address) -> None:
        """Give back the port of a subflow that joined and has ended."""


class PathControl:
    """See :class:`testbed.stack.mptcp.path_manager.Paths` for what a manager sees of this.

    :param initial: the path of the first subflow.
    """

    def __init__(
        self,
        connection: MptcpConnection,
        manager: PathManager,
        network: LocalNetwork,
        joiner: Joiner,
        *,
        initiator: bool,
        initial: SubflowPath,
    ) -> None:
        self.initiator = initiator
        self.initial = initial
        self.join_initial_denied = False
        self.signals = Signals(connection.keys, connection.subflows, connection.config.announce_ns)
        self._connection = connection
        self._manager = manager
        self._network = network
        self._joiner = joiner
        self._remotes = {0: RemoteAddress(0, initial.remote)}
        self._started = False

    # What a manager sees.

    @property
    def open_paths(self) -> Sequence[SubflowPath]:
        """The subflows there are."""
        return [subflow.path for subflow in self._connection.subflows]

    @property
    def remotes(self) -> Sequence[RemoteAddress]:
        """The peer's addresses, the initial one first."""
        return list(self._remotes.values())

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""
        return self._network.hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another."""
        return self._network.source_for(remote_host)

    # What happens.

    def start(self, first: Subflow, now: int) -> None:
        """The connection is fully established: the manager may begin."""
        self._started = True
        self.join_initial_denied = first.join_denied
        self._do(self._manager.established(self), now)

    def accepts_join(self) -> bool:
        """Tell whether the peer may open one more subflow."""
        return self._active and self._manager.accepts_join(self)

    def address_added(self, host: str, now: int) -> None:
        """The host has a further address."""
        if self._active:
            self._do(self._manager.address_added(self, host), now)

    def address_removed(self, host: str, now: int) -> None:
        """The host has lost an address: its subflows end at once, and the peer hears of it."""
        for subflow in self._connection.subflows:
            if subflow.path.local_host == host:
                subflow.tcp_state = State.CLOSED  # nothing is given to it from here on
                subflow.reset(ResetReason.UNSPECIFIED)
        if self._active:
            self._do(self._manager.address_removed(self, host), now)

    def absorb(self, subflow: Subflow, now: int) -> bool:
        """Act on what one subflow has recorded; tell whether it can be used from now on."""
        joined = self._confirm(subflow, now)
        while subflow.inbox:
            self._handle(subflow.inbox.popleft(), subflow, now)
        return joined

    def set_backup(self, number: int, *, backup: bool) -> None:
        """Ask the peer to use a subflow only while there is no other, or to use it again.

        This side does the same.  The request (MP_PRIO, section 3.3.8) rides on one ACK: if that is
        lost, the peer goes on as before, which does no harm; and it need not obey.

        :param number: of the subflow, as :func:`~testbed.stack.mptcp.info.describe` has it.
        :raises ValueError: there is no such subflow, or this has become plain TCP.
        """
        for subflow in self._connection.subflows:
            if subflow.number == number and subflow.usable and not subflow.fallback:
                subflow.ask_backup(backup)
                return
        raise ValueError(f"no MPTCP subflow has the number {number}")

    def lost(self, subflow: Subflow, now: int) -> None:
        """A subflow of a living connection is gone."""
        self.forget(subflow, now)
        if self._active:
            self._do(self._manager.subflow_closed(self, subflow.path), now)

    def forget(self, subflow: Subflow, now: int) -> None:
        """A subflow is gone."""
        if subflow.initiated and subflow.number:
            self._joiner.release(subflow.tcp.flow.local)
        if subflow.announced_up:
            self._connection.trace("sub_closed", now, **_described(subflow), **_reset(subflow))

    def step(self, now: int) -> None:
        """Send the signals that are due."""
        self.signals.send_due(now)

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        times = [one.join_retry_ns for one in self._connection.subflows]
        times.append(self.signals.next_due())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: int) -> None:
        """Send the third ACK of a join again (section 3.2), or give the join up."""
        for subflow in self._connection.subflows:
            if subflow.join_retry_ns is not None and subflow.join_retry_ns <= now:
                subflow.join_retry_ns = None
                if subflow.join_tries > self._connection.config.join_retries:
                    subflow.reset(ResetReason.UNSPECIFIED, transient=True)
                else:
                    subflow.tcp.request_ack()
                    self._await_fourth_ack(subflow, now)

    @property
    def _active(self) -> bool:
        """Whether there may be further subflows."""
        connection = self._connection
        ending = connection.fallback or connection.mp_fail.waiting or connection.closed
        return self._started and not ending

    def _confirm(self, subflow: Subflow, now: int) -> bool:
        """Follow the handshake of a join; tell whether it has ended well just now."""
        if subflow.number == 0 or subflow.announced_up:
            return False
        if subflow.confirmed:
            subflow.join_retry_ns = None
            subflow.announced_up = True
            self._connection.trace("sub_established", now, **_described(subflow))
            if not subflow.initiated:
                subflow.tcp.request_ack()  # the fourth ACK
        elif subflow.accepted and subflow.join_retry_ns is None:
            self._await_fourth_ack(subflow, now)
        return subflow.announced_up

    def _await_fourth_ack(self, subflow: Subflow, now: int) -> None:
        interval = max(subflow.tcp.rto_ns, _JOIN_RETRY_NS // 5) << subflow.join_tries
        subflow.join_tries += 1
        subflow.join_retry_ns = now + interval

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
                subflow.peer_backup = option.backup
                self._connection.trace("sub_priority", now, **_described(subflow))
            case MpJoinAck():
                subflow.tcp.request_ack()  # our fourth ACK was lost

    def _announced(self, option: AddAddr, subflow: Subflow, now: int) -> None:
        """Take an ADD_ADDR (section 3.4.1): echo it, and let the manager see it if it is new.

        An id must be withdrawn before another address may have it.
        """
        if not self.signals.authentic(option):
            return
        port = self.initial.remote.port if option.port is None else option.port
        remote = RemoteAddress(option.address_id, Address(option.address, port))
        known = self._remotes.get(remote.id)
        if known is not None and known.address.host != option.address:
            return
        self.signals.echo(subflow, option)
        if option.address_id == 0 or known == remote or option.address in self.local_hosts:
            return
        self._remotes[remote.id] = remote
        self._connection.trace("announced", now, rem_id=remote.id, daddr=option.address, dport=port)
        self._do(self._manager.announced(self, remote), now)

    def _withdrawn(self, number: int, now: int) -> None:
        """Take one id of a REMOVE_ADDR (section 3.4.2); an unknown one is ignored.

        As in Linux its subflows end at once: the HMAC-less option could come from an attacker, but
        only one who sees the subflow's sequence numbers, and he could as well send RST.
        """
        gone = [one for one in self._connection.subflows if one.path.remote_id == number]
        remote = self._remotes.get(number)
        if remote is None and not gone:
            return
        if number:
            self._remotes.pop(number, None)
        else:
            self.join_initial_denied = True
        self._connection.trace("removed", now, rem_id=number)
        for subflow in gone:
            subflow.reset(ResetReason.UNSPECIFIED)
        if remote is not None:
            self._do(self._manager.withdrawn(self, remote), now)

    def _do(self, commands: Iterable[Command], now: int) -> None:
        """Carry out what the manager wants."""
        for command in list(commands):
            match command:
                case OpenSubflow():
                    self._joiner.join(self._connection, command, now)
                case Announce():
                    self.signals.announce(command.id, command.host, command.port, now)
                case Withdraw():
                    self.signals.withdraw(command.id)
        self._connection.touch()


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
    said = subflow.peer_reset
    if said is None:
        return {}
    return {"reset_reason": said.reason, "reset_flags": said.flags | said.transient}
