"""A connection before the end of its handshake (RFC 8684, section 3.1)."""

from __future__ import annotations

from typing import Protocol

from testbed.packet.address import Flow
from testbed.stack.mptcp.capable import CapableResponder
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.data_level import DataLevel
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.path_manager.base import SubflowPath
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.congestion.control import Group


class Host(Protocol):
    """The services of the endpoint that a half-open connection needs."""

    def complete(self, half_open: HalfOpen) -> DataLevel:
        """Return the connection that it becomes."""

    def refused(self, half_open: HalfOpen) -> None:
        """Forget it, as it ends before its handshake."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""


class HalfOpen:
    """What a connection needs for its handshake: keys, both streams, congestion controls.

    Any host can send a SYN. So the other parts are made, and the connection makes steps, only after
    the peer has answered our SYN/ACK. Until then this is the data level of the first subflow, see
    :class:`testbed.stack.mptcp.data_level.DataLevel`. On the side that sends the SYN a connection
    is made of it at once.

    :param flow: the two ends of the first subflow.
    :param options: the options of the socket. ``config`` already includes them.
    """

    __slots__ = ("_host", "config", "controls", "flow", "incoming", "keys", "options", "outgoing")

    def __init__(
        self, host: Host, config: MptcpConfig, keys: Keys, flow: Flow, options: SocketOptions
    ) -> None:
        self._host = host
        self.config = config
        self.keys = keys
        self.flow = flow
        self.options = options
        self.outgoing = SendStream(config.send_buffer)
        self.incoming = ReceiveStream(config.first_window)
        self.controls = Group()

    def subflow(self, handshake: CapableResponder) -> Subflow:
        """Return the first subflow, which the peer opens."""
        path = SubflowPath.initial(self.flow)
        return Subflow(self, handshake, number=0, path=path, backup=False, initiated=False)

    @property
    def fin_due(self) -> bool:
        """Whether each ACK without data carries DATA_FIN."""
        return False

    @property
    def subflow_options(self) -> SocketOptions:
        """The socket options of the subflow's TCP."""
        return NO_OPTIONS if self.options is NO_OPTIONS else self.options.of_subflows()

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""
        self._host.count(name)

    def touch(self) -> None:
        """Do nothing: a SYN must not cost a step."""

    def aborts(self, subflow: Subflow) -> bool:
        """Return whether the RST of the subflow carries MP_FASTCLOSE: the peer's key is unknown."""
        del subflow
        return False

    def enter(self, subflow: Subflow) -> None:
        """Become a connection after the peer's answer."""
        self._become(subflow).enter(subflow)

    def open_early(self, subflow: Subflow) -> None:
        """Become a connection at once, as the SYN has data to deliver (appendix B)."""
        self._become(subflow).open_early(subflow)

    def discard(self, subflow: Subflow) -> None:
        """End without a connection."""
        del subflow
        self._host.refused(self)

    def _become(self, subflow: Subflow) -> DataLevel:
        connection = self._host.complete(self)
        subflow.belong_to(connection)
        return connection
