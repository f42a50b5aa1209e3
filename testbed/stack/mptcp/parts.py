"""The parts of a connection, made and put together.

Each writes its own fields alone, and none is replaced.  What subflows have recorded (``drain.py``)
and what is due (``timers.py``) are functions on them; applications see them as
:class:`~testbed.stack.mptcp.connection.MptcpConnection`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from testbed.packet.address import Address, Flow
from testbed.stack.mptcp.beginning import Beginning
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.datafin import DataFin
from testbed.stack.mptcp.ending import Ending
from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.fail import Fail
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.lifecycle import Lifecycle
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import OpenSubflow, PathManager
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.patience import CloseTimeout, Patience
from testbed.stack.mptcp.plain import Plain
from testbed.stack.mptcp.receiver import Receiver
from testbed.stack.mptcp.sender import Sender
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import Subflows
from testbed.stack.mptcp.window import SharedWindow
from testbed.stack.tcp.right_sizing import WindowMemory


class Owner(Protocol):
    """The services of the connection that its parts need."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    def touch(self) -> None:
        """Ask for a step."""

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event."""

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""

    def join(self, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def opened(self, subflow: Subflow, now: int) -> None:
        """Learn from how the first subflow was opened."""


class Parts:
    """Of one connection.

    :param flow: the two ends of the first subflow.
    :param manager: decides on its paths.
    :param memory: what windows grow by.
    :param release: gives back the port of a subflow that joined and has ended.
    :ivar count: counts an event; one object for all parts.
    """

    __slots__ = ("beginning", "close_timeout", "count", "ending", "events", "fin", "incoming",
                 "keys", "life", "mp_fail", "outgoing", "paths", "patience", "plain", "receiver",
                 "sender", "subflows", "window")  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        config: MptcpConfig,
        keys: Keys,
        flow: Flow,
        manager: PathManager,
        network: LocalNetwork,
        memory: WindowMemory,
        release: Callable[[Address], None],
    ) -> None:
        self.keys = keys
        self.count = count = owner.count
        self.outgoing = outgoing = SendStream(config.send_buffer)
        self.incoming = incoming = ReceiveStream(config.first_window)
        self.subflows = subflows = Subflows(release)
        there = subflows.there
        self.sender = Sender(outgoing, there, config)
        self.receiver = Receiver(incoming, keys, config.receive_buffer, count)
        self.window = window = SharedWindow(config, incoming, subflows, memory)
        self.fin = DataFin(outgoing, there)
        self.mp_fail = Fail(keys, outgoing, incoming, there, count)
        self.plain = Plain(outgoing, incoming, subflows, count)
        self.patience = Patience(config.tcp, outgoing, there)
        self.close_timeout = CloseTimeout(config.close_timeout_ns)
        self.events = events = Events(outgoing, incoming, there, config)
        self.paths = paths = ConnectionPaths(owner, keys, there, config, manager, network, flow)
        self.life = life = Lifecycle(owner, events, window, paths)
        self.beginning = Beginning(owner, outgoing, incoming, paths, life, events)
        self.ending = Ending(owner, config, keys, outgoing, incoming, subflows, paths, life, events)
