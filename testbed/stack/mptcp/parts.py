"""The parts of a connection, and their assembly.

Each part writes only its own fields, and no part is replaced. ``drain.py`` and ``timers.py`` are
functions on the parts. Applications see them as
:class:`~testbed.stack.mptcp.connection.MptcpConnection`.
"""

from __future__ import annotations

from testbed.stack.mptcp.beginning import Beginning
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.datafin import DataFin
from testbed.stack.mptcp.ending import Ending
from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.fail import Fail
from testbed.stack.mptcp.half_open import HalfOpen
from testbed.stack.mptcp.lifecycle import Lifecycle
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import PathManager
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.patience import CloseTimeout, Patience
from testbed.stack.mptcp.plain import Plain
from testbed.stack.mptcp.receiver import Receiver
from testbed.stack.mptcp.sender import Sender
from testbed.stack.mptcp.services import Services
from testbed.stack.mptcp.subflows import Subflows
from testbed.stack.mptcp.window import SharedWindow
from testbed.stack.tcp.right_sizing import WindowMemory


class Parts:
    """The parts of one connection.

    :param half_open: the connection before its handshake.
    :param manager: the path manager of this connection.
    :param memory: the memory by which receive windows may grow.
    :ivar count: increments a MIB counter; one object for all parts.
    """

    __slots__ = ("beginning", "close_timeout", "count", "ending", "events", "fin", "incoming",
                 "keys", "life", "mp_fail", "outgoing", "paths", "patience", "plain", "receiver",
                 "sender", "subflows", "window")  # fmt: skip

    def __init__(
        self,
        services: Services,
        half_open: HalfOpen,
        config: MptcpConfig,
        manager: PathManager,
        network: LocalNetwork,
        memory: WindowMemory,
    ) -> None:
        self.keys = keys = half_open.keys
        self.count = count = services.count
        self.outgoing = outgoing = half_open.outgoing
        self.incoming = incoming = half_open.incoming
        self.subflows = subflows = Subflows(services)
        there = subflows.there
        self.sender = Sender(outgoing, there, config)
        self.receiver = Receiver(incoming, keys, config.receive_buffer, count)
        self.window = window = SharedWindow(config, incoming, subflows, memory)
        self.fin = DataFin(outgoing, there, config.data_acks.wait_ns)
        self.mp_fail = Fail(keys, outgoing, incoming, there, count)
        self.plain = Plain(outgoing, incoming, subflows, count)
        self.patience = Patience(config.tcp, outgoing, there)
        self.close_timeout = CloseTimeout(config.close_timeout_ns)
        self.events = events = Events(outgoing, incoming, there, config)
        self.paths = paths = ConnectionPaths(
            services, keys, there, config, manager, network, half_open.flow
        )
        self.life = life = Lifecycle(services, events, window, paths)
        self.beginning = Beginning(services, outgoing, incoming, paths, life, events)
        self.ending = Ending(
            services, config, keys, outgoing, incoming, subflows, paths, life, events
        )
