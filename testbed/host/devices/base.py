"""The common part of kernel devices: packets as frames on descriptors of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from mypy_extensions import trait

from testbed.driver.device import Above, Change, Device, Packet
from testbed.errors import PacketError
from testbed.host.devices.gro import Merger
from testbed.host.devices.output import Sink
from testbed.host.devices.ports import Ports
from testbed.host.devices.received import Received
from testbed.host.devices.rtnetlink import Interface
from testbed.host.devices.transmitter import Transmitter, Ways
from testbed.libc import keep_freed_memory
from testbed.packet.address import Address
from testbed.packet.icmp import IcmpError, parse_icmp
from testbed.packet.segment import Segment

_TCP: Final = 6


class HostDevice(Device, Protocol):
    """A device with addresses and ports for a :class:`testbed.host.driver.Host`.

    :ivar name: the requested name.
    """

    name: str

    @property
    def lost(self) -> Sequence[str]:
        """The interfaces that were requested by name and have been deleted."""

    @property
    def ports(self) -> Ports:
        """The ports of its addresses."""

    def is_local(self, host: str) -> bool:
        """Return whether packets to an address are for this host."""

    def refuses(self, local_host: str, remote: Address) -> bool:
        """Return whether a connection to a reachable address would get no answer."""

    def has_endpoint(self, host: str) -> bool:
        """Return whether an endpoint of ``ip mptcp`` with an address belongs to this host."""

    def bind_hosts(self, interfaces: Mapping[str, int]) -> None:
        """Bind the subflows from some addresses to interfaces, given by index."""

    def bind(self, local: Address) -> None:
        """Bind a subflow to the interface of its local address, if there is one."""

    def unbind(self, local: Address) -> None:
        """Remove the binding of a subflow."""


@trait
class OwnAddresses:
    """The part of a :class:`HostDevice` with addresses that the kernel does not have."""

    def refuses(self, local_host: str, remote: Address) -> bool:
        """Return ``False``: the network answers."""
        del local_host, remote
        return False

    def bind_hosts(self, interfaces: Mapping[str, int]) -> None:
        """Do nothing: each address has one interface."""

    def bind(self, local: Address) -> None:
        """Do nothing, as :meth:`bind_hosts`."""

    def unbind(self, local: Address) -> None:
        """Do nothing, as :meth:`bind_hosts`."""


class Input(Protocol):
    """A source of frames."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def receive(self) -> Sequence[Received]:
        """Return a batch of waiting packets."""

    def close(self) -> None:
        """Close it."""


class View(Ways, Protocol):
    """The kernel's addresses and routes, kept up to date."""

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses that other hosts may know."""

    def is_local(self, host: str) -> bool:
        """Return whether packets to an address are for this host."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""

    def fileno(self) -> int:
        """Return the descriptor that has input when something has changed."""

    def handle_events(self) -> None:
        """Process the reports of the kernel."""

    def close(self) -> None:
        """Stop."""


class FrameDevice:
    """Converts segments to frames, and frames to segments.

    :param view: the addresses and routes.
    :param ports: the ports of this stack. Packets to other ports belong to the kernel's
        connections, or are forwarded by it.
    :param sink: opens an interface for sending. It raises OSError if the interface does not exist.
    """

    def __init__(
        self, view: View, ports: Ports, inputs: Sequence[Input], sink: Callable[[Interface], Sink]
    ) -> None:
        keep_freed_memory()
        self.ports = ports
        self.lost: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._view = view
        self._inputs = list(inputs)
        self._transmitter = Transmitter(view, self._unsendable, sink)
        self._merger = Merger()
        self._readable: list[Input] = []
        self._returned: list[Packet] = []  # errors, and packets to this host itself
        self._above: Above | None = None

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this host."""
        return self._view.hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""
        return self._view.source_for(remote_host)

    def is_local(self, host: str) -> bool:
        """Return whether packets to an address are for this host."""
        return self._view.is_local(host)

    def has_endpoint(self, host: str) -> bool:
        """Return whether an address belongs to this host, and not to the kernel's MPTCP."""
        return self._view.is_local(host)

    def attach(self, above: Above) -> None:
        """Start to carry packets for a driver."""
        self._above = above
        self._loop.add_reader(self._view, self._view_changed)
        for each in self._inputs:
            self._loop.add_reader(each, self._arrived, each)

    def close(self) -> None:
        """Stop."""
        sources: tuple[Input | View, ...] = (*self._inputs, self._view)
        for source in sources:
            self._loop.remove_reader(source)
        self._transmitter.close()  # the transmitter may share the socket of the input
        for source in sources:
            source.close()
        self.ports.close()

    def receive(self) -> Sequence[Packet]:
        """Return the packets that have arrived. GRO has merged consecutive packets of a flow."""
        if not self._readable and not self._returned:
            return ()
        packets, self._returned = self._returned, []
        readable, self._readable = self._readable, []
        for source in readable:
            for received in source.receive():
                self._take(received, packets)
            packets += [one for one in self._merger.segments() if self._is_ours(one)]
        return packets

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Send segments. The kernel segments those with a ``gso_size``."""
        del now
        for segment in segments:
            try:
                self._transmitter.send(segment)
            except Exception as error:
                self._fault("a segment to the network", error)

    def _take(self, received: Received, packets: list[Packet]) -> None:
        """Process a packet; drop damaged ones silently (RFC 9293)."""
        packet = received.packet
        try:
            if packet[9 if packet[0] >> 4 == 4 else 6] == _TCP:
                self._merger.take(received)
            else:
                self._take_other(bytes(packet), packets)
        except (PacketError, IndexError):
            return
        except Exception as error:
            self._fault("a packet from the network", error)

    def _take_other(self, packet: bytes, packets: list[Packet]) -> None:
        """Process a packet that is not TCP."""
        error = parse_icmp(packet)
        if error is not None and error.flow.local.port in self.ports:
            packets.append(error)

    def _is_ours(self, segment: Segment) -> bool:
        host, port = segment.destination
        return port in self.ports and self._view.is_local(host)

    def _arrived(self, source: Input) -> None:
        self._readable.append(source)
        if self._above is not None:
            self._above.turn()

    def _add_input(self, source: Input) -> None:
        self._inputs.append(source)
        if self._above is not None:
            self._loop.add_reader(source, self._arrived, source)

    def _lose(self, source: Input, interface: int) -> None:
        """Process the deletion of an interface, and of an input that it alone has."""
        self._inputs.remove(source)
        self._loop.remove_reader(source)
        self._transmitter.lose(interface)
        source.close()

    def _view_changed(self) -> None:
        self._view.handle_events()

    def _addresses_changed(self, change: Change) -> None:
        if self._above is not None:
            self._above.addresses_changed(change)

    def _neighbour_changed(self) -> None:
        """Send the segments that waited for a neighbour."""
        for segment in self._transmitter.take_parked():
            self.send((segment,), 0)

    def _unsendable(self, error: IcmpError) -> None:
        self._returned.append(error)
        if self._above is not None:
            self._above.wake()

    def _fault(self, what: str, error: Exception) -> None:
        if self._above is not None:
            self._above.fault(what, error)
