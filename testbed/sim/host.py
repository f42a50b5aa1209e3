"""A node's transport: drives its endpoint on the virtual clock."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from testbed.packet.address import Address, Flow
from testbed.packet.segment import Segment
from testbed.sim.agenda import Agenda
from testbed.sim.frame import Packet
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import OnConnection, Server, StreamPair, Streams
from testbed.topology.forwarding import host
from testbed.topology.model import Node

FIRST_PORT: Final = 32768  # net.ipv4.ip_local_port_range
_PORTS: Final = 28232


# Makes the endpoint of a node.  Whatever is random in there comes from the generator.
EndpointFactory = Callable[[Node, Random, LocalNetwork], Endpoint]


class Host:
    """One stack of a node, as its programs see it.

    :param send: sends one segment into the network.
    :param source_of: which address the node uses toward a destination, if there is a way.
    :param stacks: those of the node, which have its ports in common.
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
        self.hosts: Sequence[str] = [
            host(address) for interface in node.interfaces for address in interface.addresses
        ]
        self._silent: Sequence[str] = ()
        self.source_for = source_of
        self._agenda = agenda
        self._send = send
        self._woken = False
        self._armed: int | None = None  # when the agenda has the endpoint's timer
        self._stacks = stacks
        self.endpoint = endpoint_of(node, random, self)
        self.streams = Streams(self)

    def port_for(self, local_host: str, remote: Address) -> int:  # noqa: ARG002 - each has its own
        """Return the node's next port: there are so many that none is still in use."""
        return self._stacks.next_port(self)

    def release_port(self, local: Address) -> None:
        """Do nothing: see ``port_for``."""

    def now(self) -> int:
        """Return the virtual time in nanoseconds."""
        return self._agenda.now

    def wake(self) -> None:
        """Drive the endpoint once the caller is done."""
        if not self._woken:
            self._woken = True
            self._agenda.at(self._agenda.now, self._drive)

    def take(self, packet: Packet, now: int) -> None:
        """Take a packet from the network."""
        if isinstance(packet, Segment):
            self.endpoint.receive(packet, now)
        else:
            self.endpoint.receive_icmp(packet, now)
        self.wake()

    async def connect(
        self,
        remote: Address,
        source: str | None = None,
        *,
        data: bytes = b"",
        options: SocketOptions = NO_OPTIONS,
    ) -> StreamPair:
        """Open a connection, by default from the address that routing picks.

        :param data: see :meth:`testbed.streams.Streams.open_connection`.
        :raises OSError: it cannot be opened.
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

        :raises OSError: it is open already.
        :raises ValueError: an option cannot be set.
        """
        self._stacks.claim(local.port, self)
        return await self.streams.start_server(on_connection, local, options)

    def addresses_are(self, now: Sequence[str]) -> None:
        """Tell the endpoint, if it wants to know, which addresses have come and gone."""
        before, self.hosts = self.hosts, now
        self._tell("address_removed", [each for each in before if each not in now])
        self._tell("address_added", [each for each in now if each not in before])

    def silent_are(self, now: Sequence[str]) -> None:
        """Tell the endpoint, if it wants to know, of addresses whose interfaces have no carrier."""
        before, self._silent = self._silent, now
        self._tell("carrier_lost", [each for each in now if each not in before])
        heard = [each for each in before if each not in now and each in self.hosts]
        self._tell("carrier_returned", heard)

    def _tell(self, name: str, addresses: Sequence[str]) -> None:
        tell = getattr(self.endpoint, name, None)
        if tell is not None and addresses:
            for address in addresses:
                tell(address, self._agenda.now)
            self.wake()

    def endpoints_are(self, now: Sequence[PathEndpoint]) -> None:
        """Tell the endpoint of the stack, if it wants to know, what MPTCP may use."""
        if isinstance(self.endpoint, MptcpEndpoint):
            self.endpoint.paths.become(now, self._agenda.now)
            self.wake()

    def _drive(self, now: int) -> None:
        """Do a driver's whole duty (:mod:`testbed.stack.connection`)."""
        endpoint, send, dispatch = self.endpoint, self._send, self.streams.dispatch
        fault: Exception | None = None  # of the network, which ends the simulation after this
        self._woken = True  # whatever is asked for from now on is done before this ends
        if self._armed is None or self._armed <= now:  # nothing is due before that
            due = endpoint.next_timer()
            if due is not None and due <= now:
                endpoint.handle_timer(now)
        while True:
            segments = endpoint.segments_to_send(now)
            for segment in segments:
                try:
                    send(segment, now)
                except Exception as error:
                    fault = fault or error
            event = endpoint.next_event()
            if event is None and not segments:
                break
            while event is not None:
                dispatch(*event)
                event = endpoint.next_event()
        self._woken = False
        self._arm()
        if fault is not None:
            raise fault

    def _arm(self) -> None:
        """See that the endpoint's timer is looked at in time: too early does no harm."""
        due = self.endpoint.next_timer()
        if due is not None and (self._armed is None or due < self._armed):
            self._armed = due
            self._agenda.at(due, self._timer)

    def _timer(self, now: int) -> None:
        if self._armed is not None and self._armed <= now:
            self._armed = None
        due = self.endpoint.next_timer()
        if due is not None and due <= now:
            self._drive(now)
        else:
            self._arm()


class Stacks:
    """All stacks of a node: each packet goes to the one that last used the port it is for.

    The first one gets the packets for ports that none has used.
    """

    def __init__(self) -> None:
        self.all: list[Host] = []
        self._next = FIRST_PORT
        self._users: dict[int, Host] = {}

    def next_port(self, user: Host) -> int:
        """Return the next port for a connection that a stack opens."""
        port = self._next
        self._next = FIRST_PORT + (port + 1 - FIRST_PORT) % _PORTS
        self.claim(port, user)
        return port

    def claim(self, port: int, user: Host) -> None:
        """Note that a stack uses a port."""
        self._users[port] = user

    def take(self, packet: Packet, now: int) -> None:
        """Take a packet from the network."""
        if len(self.all) == 1:
            self.all[0].take(packet, now)
            return
        local = packet.destination if isinstance(packet, Segment) else packet.flow.local
        self._users.get(local.port, self.all[0]).take(packet, now)

    def addresses_are(self, now: Sequence[str], silent: Sequence[str]) -> None:
        """Tell all of them which addresses there are, and which of them have no carrier."""
        for stack in self.all:
            stack.addresses_are(now)
            stack.silent_are(silent)

    def endpoints_are(self, now: Sequence[PathEndpoint]) -> None:
        """Tell all of them which endpoints of MPTCP there are."""
        for stack in self.all:
            stack.endpoints_are(now)
