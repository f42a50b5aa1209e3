"""The transport of a node: an endpoint on the virtual clock over a device in memory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from testbed.driver.device import Packet
from testbed.driver.loop import Driver
from testbed.driver.memory import MemoryDevice
from testbed.packet.address import Address, Flow
from testbed.packet.segment import Segment
from testbed.sim.agenda import Action, Agenda
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import OnConnection, Server, StreamPair
from testbed.topology.forwarding import host
from testbed.topology.model import Node

FIRST_PORT: Final = 32768  # net.ipv4.ip_local_port_range
_PORTS: Final = 28232


# Makes the endpoint of a node, with all its randomness from the generator.
EndpointFactory = Callable[[Node, Random, LocalNetwork], Endpoint]


class VirtualClock:
    """The clock of an agenda, for a driver."""

    __slots__ = ("_agenda",)

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def now(self) -> int:
        """Return the virtual time in nanoseconds."""
        return self._agenda.now

    def soon(self, action: Action) -> None:
        """Call ``action`` after the caller returns."""
        self._agenda.at(self._agenda.now, action)

    def at(self, when: int, action: Action) -> None:
        """Call ``action`` at a time."""
        self._agenda.at(when, action)

    def fail(self, what: str, error: Exception) -> None:
        """End the simulation by an exception after the caller returns."""

        def end(_: int) -> None:
            raise error

        del what
        self.soon(end)


class Host:
    """One stack of a node, for its programs.

    :param send: sends a segment into the network.
    :param source_of: returns the source address towards a destination, or ``None`` without a route.
    :param stacks: the stacks of the node, which share its ports.
    """

    def __init__(
        self,
        agenda: Agenda,
        node: Node,
        endpoint_of: EndpointFactory,
        random: Random,
        *,
        send: Callable[[Segment, int], None],
        source_of: Callable[[str], str | None],
        stacks: Stacks,
    ) -> None:
        hosts = [host(address) for interface in node.interfaces for address in interface.addresses]
        self.device = MemoryDevice(hosts, send, source_of)
        self._stacks = stacks
        clock = VirtualClock(agenda)
        self._driver = Driver(clock, self.device, clock.fail)
        self._driver.begin(endpoint_of(node, random, self))
        self.streams = self._driver.streams

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of this stack."""
        return self._driver.endpoint

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this node."""
        return self.device.hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""
        return self.device.source_for(remote_host)

    def now(self) -> int:
        """Return the virtual time in nanoseconds."""
        return self._driver.now()

    def wake(self) -> None:
        """Schedule a round for the endpoint after the caller returns."""
        self._driver.wake()

    def port_for(self, local_host: str, remote: Address) -> int:  # noqa: ARG002 - each has its own
        """Return the next port of the node. There are enough that none is in use twice."""
        return self._stacks.next_port(self)

    def release_port(self, local: Address) -> None:
        """Do nothing: see ``port_for``."""

    async def connect(
        self,
        remote: Address,
        source: str | None = None,
        *,
        data: bytes = b"",
        options: SocketOptions = NO_OPTIONS,
    ) -> StreamPair:
        """Open a connection, by default from the address that routing chooses.

        :param data: see :meth:`testbed.streams.Streams.open_connection`.
        :raises OSError: the connection fails.
        :raises ValueError: an option cannot be set.
        """
        local = source or self.source_for(remote.host)
        if local is None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        port = self.port_for(local, remote)
        flow = Flow(Address(local, port), remote)
        return await self.streams.open_connection(flow, data, options)

    async def listen(
        self, on_connection: OnConnection, local: Address, options: SocketOptions = NO_OPTIONS
    ) -> Server:
        """Open a port.

        :raises OSError: the port is open already.
        :raises ValueError: an option cannot be set.
        """
        self._stacks.claim(local.port, self)
        return await self.streams.start_server(on_connection, local, options)

    def endpoints_are(self, now: Sequence[PathEndpoint]) -> None:
        """Set the MPTCP endpoints of the stack, if it uses them."""
        if isinstance(self.endpoint, MptcpEndpoint):
            self.endpoint.paths.become(now, self.now())
            self.wake()


class Stacks:
    """All stacks of a node. Each packet goes to the stack that last used its port.

    Packets for unused ports go to the first stack.
    """

    def __init__(self) -> None:
        self.all: list[Host] = []
        self._next = FIRST_PORT
        self._users: dict[int, Host] = {}

    def next_port(self, user: Host) -> int:
        """Return the next port for a new connection of a stack."""
        port = self._next
        self._next = FIRST_PORT + (port + 1 - FIRST_PORT) % _PORTS
        self.claim(port, user)
        return port

    def claim(self, port: int, user: Host) -> None:
        """Record that a stack uses a port."""
        self._users[port] = user

    def take(self, packet: Packet) -> None:
        """Process a packet from the network."""
        if len(self.all) == 1:
            self.all[0].device.deliver(packet)
            return
        local = packet.destination if isinstance(packet, Segment) else packet.flow.local
        self._users.get(local.port, self.all[0]).device.deliver(packet)

    def addresses_are(self, now: Sequence[str], silent: Sequence[str]) -> None:
        """Set the addresses of all stacks, and those without a carrier."""
        for stack in self.all:
            stack.device.addresses_are(now, silent)

    def endpoints_are(self, now: Sequence[PathEndpoint]) -> None:
        """Set the MPTCP endpoints of all stacks."""
        for stack in self.all:
            stack.endpoints_are(now)
