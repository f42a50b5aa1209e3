"""The execution of commands on the paths of a connection.

Path managers and programs (``path_control.py``) issue the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from testbed.packet.address import Flow
from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.local_ids import LocalIds
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import (
    NO_IDS,
    Announce,
    CloseSubflow,
    Command,
    OpenSubflow,
    PathError,
    SetBackup,
    Withdraw,
    same_family,
)
from testbed.stack.mptcp.pending_joins import PendingJoins
from testbed.stack.mptcp.signals import Signals
from testbed.stack.mptcp.subflow import Subflow


class PathCommands:
    """Executes commands on the paths of one connection.

    :param subflows: the subflows of the connection, which adds and removes them.
    :param count: increments the MPTcpExt counter that has a name.
    :ivar announced: the ids of our addresses that were announced to the peer.
    """

    __slots__ = ("_count", "_joins", "_local_ids", "_network", "_signals", "_subflows", "announced")

    def __init__(
        self,
        subflows: Sequence[Subflow],
        local_ids: LocalIds,
        signals: Signals,
        joins: PendingJoins,
        network: LocalNetwork,
        count: Callable[[str], None],
    ) -> None:
        self.announced = NO_IDS
        self._subflows = subflows
        self._local_ids = local_ids
        self._signals = signals
        self._joins = joins
        self._network = network
        self._count = count

    def execute(self, command: Command, now: int) -> None:
        """Execute a command. A join may have to wait as a pending one.

        :raises PathError: the command cannot be carried out.
        """
        match command:
            case OpenSubflow():
                self._open(command)
            case CloseSubflow():
                self.close(self._named(command.flow))
            case SetBackup():
                self._named(command.flow).ask_backup(backup=command.backup)
            case Announce():
                if not command.id:
                    raise PathError("the peer knows the address with the id 0")
                self._know(command.host, command.id)
                self.announced |= {command.id}
                self._signals.announce(command.id, command.host, command.port, now)
            case Withdraw():
                self._withdraw(command.id)

    def close(self, subflow: Subflow) -> None:
        """Close a working subflow by FIN (section 3.4.2).

        The wait for the peer's FIN is limited, as in TCP after ``close``.
        """
        if not subflow.confirmed:
            self.end(subflow)
        elif subflow.phase.sends:
            self._count("RmSubflow")
            subflow.tcp.finish()

    def end(self, subflow: Subflow) -> None:
        """End a subflow whose address was removed."""
        if subflow.accepted and not subflow.tcp.closed:
            self._count("RmSubflow")
        subflow.reset(ResetReason.UNSPECIFIED)

    def _open(self, command: OpenSubflow) -> None:
        remote = command.remote.address.host
        if not same_family(command.local_host, remote):
            raise PathError("both addresses of a subflow must be of the same family")
        host, network = command.local_host, self._network
        if host not in network.hosts and host != network.source_for(remote):
            raise PathError(f"{host} is not an address of this host")
        self._joins.require_room()
        self._know(host, command.local_id)
        self._joins.want(command)

    def _withdraw(self, number: int) -> None:
        if not self._local_ids.knows(number):
            raise PathError(f"no address has the id {number}")
        for subflow in self._subflows:
            if subflow.path.local_id == number:
                self.close(subflow)
        self.announced -= {number}
        self._signals.withdraw(number)

    def _know(self, host: str, number: int) -> None:
        """Record the id of an address. Raises PathError if another address has the id."""
        if not self._local_ids.claim(host, number):
            raise PathError(f"{number} cannot be the id of {host}: another address has this id")

    def _named(self, flow: Flow) -> Subflow:
        """Return the subflow between two ends.  Raises PathError."""
        for subflow in self._subflows:
            if subflow.path.flow == flow:
                return subflow
        raise PathError(f"there is no subflow {flow}")
