"""The peer's options about addresses and subflows (RFC 8684, sections 3.3.8 and 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from testbed.packet.address import Address, is_loopback, unmapped
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
    """The services of the connection that this part needs."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Trace an event."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""


class Paths(Protocol):
    """The services of the connection's paths that this part needs."""

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
        """Process an address that the peer has announced."""

    def take_withdrawn(self, remote: RemoteAddress, now: int) -> None:
        """Process the withdrawal of an announced address."""


class PeerOptions:
    """Processes the peer's options on the subflows of one connection.

    :param subflows: the subflows of the connection.
    :param failures: the failed paths, which an announcement clears.
    """

    __slots__ = ("_failures", "_owner", "_probes", "_remotes", "_signals", "_subflows")

    def __init__(
        self,
        owner: Owner,
        subflows: Sequence[Subflow],
        signals: Signals,
        remotes: Remotes,
        probes: Probes,
        failures: Failures,
    ) -> None:
        self._owner = owner
        self._subflows = subflows
        self._signals = signals
        self._remotes = remotes
        self._probes = probes
        self._failures = failures

    def take(self, option: Option, subflow: Subflow, paths: Paths, now: int) -> None:
        """Process an option received on a subflow.

        :param paths: informed of announced and withdrawn addresses.
        """
        match option:
            case AddAddr(hmac=None):
                self._owner.count("EchoAdd")
                self._signals.echoed(option)
            case AddAddr():
                self._announced(option, subflow, paths, now)
            case RemoveAddr():
                for number in option.address_ids:
                    self._owner.count("RmAddr")
                    self._withdrawn(number, paths, now)
            case MpPrio():
                self._owner.count("MPPrioRx")
                subflow.asked_backup(option.backup)
                self._owner.trace("sub_priority", now, **subflow_fields(subflow))
            case MpJoinAck():
                subflow.tcp.request_ack()  # our fourth ACK was lost

    def _announced(self, option: AddAddr, subflow: Subflow, paths: Paths, now: int) -> None:
        """Process an ADD_ADDR (section 3.4.1): echo it, and inform the manager if it is new.

        An id must be withdrawn before another address may use it.
        """
        self._owner.count("AddAddr")
        if option.port:
            self._owner.count("PortAdd")
        if not self._signals.authentic(option):
            return
        # As in Linux, port 0 means the port of the first subflow.
        port = option.port or paths.initial.remote.port
        host = unmapped(option.address)
        remote = RemoteAddress(option.address_id, Address(host, port))
        known = self._remotes.find(remote.id)
        if known is not None and known.address.host != host:
            return
        # The peer knows our key, so the third ACK has arrived and need not be repeated.
        subflow.opening.confirm()
        self._signals.echo(subflow, option)
        refreshed = self._failures.forget_remote(remote.address)
        old = known == remote and not refreshed
        if option.address_id == 0 or old or _is_ours(host, paths):
            return
        self._remotes.announced(remote, early=not paths.started)
        self._owner.trace("announced", now, **remote_address(remote))
        if paths.started:
            paths.take_announced(remote, now)
        else:  # the option may arrive before the first DSS
            subflow.stir()  # the subflow is confirmed now

    def _withdrawn(self, number: int, paths: Paths, now: int) -> None:
        """Process one id of a REMOVE_ADDR (section 3.4.2). An unknown id is ignored.

        The option has no proof of its sender, so the subflows of the address are probed first. A
        subflow whose peer answers stays. The host that sent the option must end it.
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
            paths.take_withdrawn(remote, now)


def _is_ours(host: str, paths: Paths) -> bool:
    """Return whether an announced address is not the peer's but one of this host.

    A loopback address of another host would make this one connect to itself.
    """
    if host in paths.local_hosts:
        return True
    return is_loopback(host) and not is_loopback(paths.initial.remote.host)
