"""A host in virtual time: endpoints of the stack, their sent segments, and the clock.

Connections with the same configuration share an endpoint. The endpoint of a segment is found by its
connection, or else by the port.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from testbed.interchange.packetdrill.counters import History
from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import Segment
from testbed.stack.connection import Connected, Connection
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.listener import TcpListener

_FIRST_PORT: Final = 40_001


class Sent(msgspec.Struct, frozen=True):
    """A sent segment and its time."""

    at: int
    segment: Segment


class Host:
    """The host under test.

    :param local: the first address of the host.
    :ivar now: nanoseconds since the start of the script.
    :ivar sent: the sent segments that have not been compared yet.
    :ivar history: the history of its connections.
    """

    def __init__(self, local: str) -> None:
        self.now = 0
        self.sent: deque[Sent] = deque()
        self.history = History()
        self._random = Random(8684)
        self._network = _Network([local])
        self._endpoints: dict[MptcpConfig, MptcpEndpoint] = {}
        self._ports: dict[int, MptcpEndpoint] = {}
        self._opened: list[Connection] = []
        self._accepted: dict[int, deque[Connection]] = {}

    # Requests of sockets.

    def connect(
        self,
        config: MptcpConfig,
        flow: Flow,
        options: SocketOptions,
        *,
        mptcp: bool,
        data: bytes | None = None,
    ) -> Connection:
        """Open a connection.

        :param data: the data to send with SYN as far as allowed; if empty, a cookie is requested.
        :raises ValueError: the connection does not support an option.
        """
        endpoint = self._endpoint(config)
        begin = endpoint.connect if mptcp else endpoint.tcp.connect
        opened: Connection = begin(
            flow, self.now, data=data or b"", ask_cookie=data is not None, options=options
        )
        self._opened.append(opened)
        self.history.began(opened)
        self._ports[flow.local.port] = endpoint
        self.settle()
        return opened

    def early_limit(self, config: MptcpConfig, flow: Flow, options: SocketOptions) -> int:
        """Return how many octets SYN may carry."""
        return self._endpoint(config).tcp.early_limit(flow, self.now, options)

    def listen(
        self, config: MptcpConfig, local: Address, options: SocketOptions, *, mptcp: bool
    ) -> TcpListener:
        """Open a port. Raises ValueError if it does not support an option."""
        endpoint = self._endpoint(config)
        transport = endpoint if mptcp else endpoint.tcp
        listener = transport.listen(local, options=options)
        self._ports[local.port] = endpoint
        self._accepted.setdefault(local.port, deque())
        return listener

    def accepted(self, port: int) -> deque[Connection]:
        """Return the connections that wait for accept(2)."""
        return self._accepted.setdefault(port, deque())

    def refused(self, config: MptcpConfig, remote_host: str) -> None:
        """Record an attempt to open a connection that fails before its SYN.

        As Linux does, this counts whether it would have left MPTCP out.
        """
        if self._endpoint(config).avoids_mptcp(remote_host, self.now):
            self.history.began_without_mptcp()

    @property
    def opened(self) -> int:
        """How many connections the host has opened."""
        return len(self._opened)

    def port(self) -> int:
        """Return a free local port."""
        return self._network.port_for("", Address("", 0))

    # Events.

    def paths_are(self, endpoints: tuple[PathEndpoint, ...]) -> None:
        """Set the MPTCP endpoints of all connections."""
        self._network.add([one.host for one in endpoints])
        for endpoint in self._endpoints.values():
            endpoint.paths.become(endpoints, self.now)
        self.settle()

    def receive(self, segment: Segment) -> None:
        """Receive a segment."""
        self._owner(segment).receive(segment, self.now)
        self.settle()

    def receive_icmp(self, error: IcmpError) -> None:
        """Receive an ICMP error."""
        for endpoint in self._endpoints.values():
            endpoint.receive_icmp(error, self.now)
        self.settle()

    def advance(self, until: int) -> bool:
        """Advance the time to the next timer, at most to ``until``; return whether one expired."""
        times = [one.next_timer() for one in self._endpoints.values()]
        due = min((time for time in times if time is not None), default=None)
        if due is None or due > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, due)
        for endpoint in self._endpoints.values():
            endpoint.handle_timer(self.now)
        self.settle()
        return True

    def look(self, connection: TcpConnection) -> None:
        """Let a connection count its times until now."""
        connection.owner.wake(connection)
        self.settle()

    def settle(self) -> None:
        """Send all possible segments, and handle all events."""
        for endpoint in self._endpoints.values():
            self._settle(endpoint)

    def _settle(self, endpoint: MptcpEndpoint) -> None:
        stirred = True
        while stirred:
            segments = endpoint.segments_to_send(self.now)
            for one in segments:
                self.sent.append(Sent(self.now, one))
                self.history.sent(one)
            stirred = bool(segments)
            while (found := endpoint.next_event()) is not None:
                stirred = True
                connection, event = found
                if isinstance(event, Connected) and connection not in self._opened:
                    self.accepted(connection.flow.local.port).append(connection)
                    self.history.began(connection)

    def _endpoint(self, config: MptcpConfig) -> MptcpEndpoint:
        if config not in self._endpoints:
            self._network.add([one.host for one in config.endpoints])
            secret = self._random.randbytes(16)
            self._endpoints[config] = MptcpEndpoint(config, self._random, secret, self._network)
        return self._endpoints[config]

    def _owner(self, segment: Segment) -> MptcpEndpoint:
        flow = Flow(segment.destination, segment.source)
        for endpoint in self._endpoints.values():
            if endpoint.tcp.connection(flow) is not None:
                return endpoint
        return self._ports.get(flow.local.port) or self._endpoint(MptcpConfig())


class _Network:
    """Implements :class:`testbed.stack.mptcp.local_network.LocalNetwork`."""

    def __init__(self, hosts: list[str]) -> None:
        self._hosts = hosts
        self._next = _FIRST_PORT

    @property
    def hosts(self) -> Sequence[str]:
        return self._hosts

    def add(self, hosts: Sequence[str]) -> None:
        self._hosts += [one for one in hosts if one not in self._hosts]

    def source_for(self, remote_host: str) -> str | None:
        return next((one for one in self._hosts if (":" in one) == (":" in remote_host)), None)

    def port_for(self, local_host: str, remote: Address) -> int:
        del local_host, remote
        self._next += 1
        return self._next - 1

    def release_port(self, local: Address) -> None:
        del local
