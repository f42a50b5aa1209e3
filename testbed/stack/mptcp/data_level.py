"""The data level as a subflow sees it: its connection, or a half-open one."""

from __future__ import annotations

from typing import Any, Protocol

from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group


class DataLevel(Protocol):
    """The services of the connection that a subflow needs."""

    @property
    def keys(self) -> Keys:
        """The keys of both hosts."""

    @property
    def config(self) -> MptcpConfig:
        """The configuration of the connection."""

    @property
    def outgoing(self) -> SendStream:
        """The data stream to the peer."""

    @property
    def incoming(self) -> ReceiveStream:
        """The data stream of the peer."""

    @property
    def fin_due(self) -> bool:
        """Whether each ACK without data carries DATA_FIN."""

    @property
    def subflow_options(self) -> SocketOptions:
        """The socket options of each subflow's TCP."""

    @property
    def controls(self) -> Group:
        """The congestion controls of all subflows."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""

    def touch(self) -> None:
        """Request a step of the connection."""

    def aborts(self, subflow: Any) -> bool:
        """Return whether the RST of a subflow carries MP_FASTCLOSE."""

    def enter(self, subflow: Any) -> None:
        """Add a subflow whose handshake has been answered."""

    def open_early(self, subflow: Any) -> None:
        """Deliver the data of the SYN before the handshake is complete (appendix B)."""

    def discard(self, subflow: Any) -> None:
        """Drop a subflow whose handshake was never answered."""
