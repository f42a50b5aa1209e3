"""What the peer says by options of its addresses and subflows (RFC 8684, sections 3.3.8, 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from testbed.packet.address import Address, unmapped
from testbed.packet.mptcp import AddAddr, MpJoinAck, MpPrio, RemoveAddr
from testbed.packet.options import Option
from testbed.stack.mptcp.failures import Failures
from testbed.stack.mptcp.path_events import remote_address, subflow_fields
from testbed.stack.mptcp.path_manager.base import RemoteAddress, SubflowPath
from testbed.stack.mptcp.probe import Probes
from testbed.stack.mptcp.remotes import Remotes
from testbed.stack.mptcp.signals import Signals
from testbed.stack.mptcp.subflow import Subflow


class Owner(Protocol):
    """What the connection does for this."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event."""

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""


class Paths(Protocol):
    """What the paths of the connection are, and what they are told."""

    @property
    def initial(self) -> SubflowPath:
        """The path of the first subflow."""

    @property
    def started(self) -> bool:
        """Whether the connection is fully established."""

    @property
    def local_hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def take_announced(self, remote: RemoteAddress, now: int) -> None:
        """The peer has announced an address."""

    def take_withdrawn(self, remote: RemoteAddress, now: int) -> None:
        """The peer has withdrawn an address that it had announced."""


class PeerOptions:
    """Of one connection.

    :param paths: hear of addresses that come and go.
    :param subflows: those of the connection.
    :param failures: paths that an announcement lets be tried again.
    """

    __slots__ = ("_failures", "_owner", "_paths", "_probes", "_remotes", "_signals", "_subflows")

    def __init__(
        self,
        owner: Owner,
        paths: Paths,
        subflows: Sequence[Subflow],
        signals: Signals,
        remotes: Remotes,
        probes: Probes,
        failures: Failures,
    ) -> None:
        self._owner = owner
        self._paths = paths
        self._subflows = subflows
        self._signals = signals
        self._remotes = remotes
        self._probes = probes
        self._failures = failures

    def take(self, option: Option, subflow: Subflow, now: int) -> None:
        """Act on an option that has come on a subflow."""
        match option:
            case AddAddr(hmac=None):
                self._owner.count("EchoAdd")
                self._signals.echoed(option)
            case AddAddr():
                self._announced(option, subflow, now)
            case RemoveAddr():
                for number in option.address_ids:
                    self._owner.count("RmAddr")
                    self._withdrawn(number, now)
            case MpPrio():
                self._owner.count("MPPrioRx")
                subflow.asked_backup(option.backup)
                self._owner.trace("sub_priority", now, **subflow_fields(subflow))
            case MpJoinAck():
                subflow.tcp.request_ack()  # our fourth ACK was lost

    def _announced(self, option: AddAddr, subflow: Subflow, now: int) -> None:
        """Take an ADD_ADDR (section 3.4.1): echo it, and let the manager see it if it is new.

        An id must be withdrawn before another address may have it.
        """
        self._owner.count("AddAddr")
        if option.port:
            self._owner.count("PortAdd")
        if not self._signals.authentic(option):
            return
        port = option.port or self._paths.initial.remote.port  # port 0 is not used: as in Linux
        host = unmapped(option.address)
        remote = RemoteAddress(option.address_id, Address(host, port))
        known = self._remotes.find(remote.id)
        if known is not None and known.address.host != host:
            return
        # The peer knows our key, so the third ACK has arrived: no need to say it again.
        subflow.opening.confirm()
        self._signals.echo(subflow, option)
        refreshed = self._failures.forget_remote(remote.address)
        old = known == remote and not refreshed
        if option.address_id == 0 or old or host in self._paths.local_hosts:
            return
        self._remotes.announced(remote, early=not self._paths.started)
        self._owner.trace("announced", now, **remote_address(remote))
        if self._paths.started:
            self._paths.take_announced(remote, now)
        else:  # the option may overtake the first DSS
            subflow.stir()  # it is confirmed now

    def _withdrawn(self, number: int, now: int) -> None:
        """Take one id of a REMOVE_ADDR (section 3.4.2); an unknown one is ignored.

        The option proves nothing, so its subflows are probed first.  One whose peer answers stays:
        to end it is for the host that has sent the option.
        """
        gone = [one for one in self._subflows if one.path.remote_id == number]
        remote = self._remotes.find(number)
        if remote is None and not gone:
            return
        self._remotes.withdrawn(number)
        self._owner.trace("removed", now, rem_id=number)
        for subflow in gone:
            self._probes.begin(subflow, now)
        if remote is not None:
            self._failures.forget_remote(remote.address)
            self._paths.take_withdrawn(remote, now)
