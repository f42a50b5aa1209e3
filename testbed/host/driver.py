"""The real network as a driver of an endpoint: packet sockets and timers on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

from testbed.errors import PacketError
from testbed.host.gro import Merger
from testbed.host.network import Change, Network
from testbed.host.path_manager import AnnouncedPorts, KernelEndpoints
from testbed.host.ports import Ports, is_heard
from testbed.host.recording import NullTap, Tap
from testbed.host.sockets import Input, Receiver
from testbed.host.transmitter import Transmitter
from testbed.libc import Timer
from testbed.packet.address import Address, Flow, unmapped
from testbed.packet.icmp import IcmpError, parse_icmp
from testbed.packet.segment import Segment
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import OnConnection, Server, StreamPair, Streams, StreamTransport

_FOLLOW_S: Final = 0.02  # how often the kernel's endpoints are looked at
_SWEEP_S: Final = 1.0  # how often ports are looked at that may be given back
_TCP: Final = 6
_ANYWHERE: Final = Address("", 0)
_ANY_HOST: Final = ("0.0.0.0", "::")  # noqa: S104 - names of addresses, nothing is bound
LINGER_S: Final = 3.0


@runtime_checkable
class AddressAware(Protocol):
    """An endpoint that wants to know this host's addresses."""

    def address_added(self, host: str, now: int) -> None:
        """Take that this host can be reached at a further address."""

    def address_removed(self, host: str, now: int) -> None:
        """Take that an address is gone."""

    def carrier_lost(self, host: str, now: int) -> None:
        """Take that the interface of an address is down, or has no carrier."""

    def carrier_returned(self, host: str, now: int) -> None:
        """Take that the interface of an address is up and has a carrier again."""


class Closable(Protocol):
    """Something that is closed with a host."""

    def close(self) -> None:
        """Close it."""


class Host:
    """One endpoint on the interfaces of the network namespace this process is in.

    The addresses are the kernel's own; the ports are shared with it (:mod:`testbed.host.ports`).
    Make it where an event loop runs, and close it in the end.

    :param make: makes the endpoint, which may ask the host for addresses and ports.
    :param tap: sees all segments.
    :param rng: chooses ports.
    :raises PlatformError: this process may not open packet sockets.
    """

    def __init__(
        self,
        make: Callable[[Host], Endpoint],
        *,
        tap: Tap | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tap = tap or NullTap()
        self._ports = Ports(rng or random.SystemRandom())
        self._blocks: frozenset[int] = frozenset()
        self._receiver = Receiver()
        self._merger = Merger()
        self._inputs = tuple(Input(family) for family in (socket.AF_INET, socket.AF_INET6))
        self._timer = Timer()
        self._sweeping: asyncio.TimerHandle | None = None
        self._following: asyncio.TimerHandle | None = None
        self._others = contextlib.ExitStack()  # that are closed with this
        self._closed = False
        self._armed: int | None = None
        self._idle = asyncio.Event()
        self._work = self._scheduled = self._stepping = False
        self.network = Network(self._addresses_changed, self._neighbour_changed)
        self._transmitter = Transmitter(self.network, self._unsendable)
        self.endpoint = make(self)
        self.streams = Streams(self)
        for each in self._inputs:
            self._loop.add_reader(each, self._receive, each.fileno())
        self._loop.add_reader(self._timer, self._timer_expired)
        self._loop.add_reader(self.network, self.network.handle_events)

    def close(self) -> None:
        """Stop at once: connections that are still open are forgotten."""
        if self._closed:
            return
        self._closed = True
        sources: tuple[Input | Timer | Network, ...] = (*self._inputs, self._timer, self.network)
        for source in sources:
            self._loop.remove_reader(source)
            source.close()
        for timer in (self._sweeping, self._following):
            if timer is not None:
                timer.cancel()
        self._transmitter.close()
        self._ports.close()
        self._others.close()  # the kernel may listen on its ports again

    def close_with(self, other: Closable) -> None:
        """Close something else, too, when this is closed."""
        self._others.callback(other.close)

    async def finish(self, limit_s: float = LINGER_S) -> None:
        """Wait until nothing is left to do for any connection, then close.

        All of them must have been closed.

        :param limit_s: how long to wait for a peer that has vanished.
        """
        await self.streams.finished()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self.endpoint.next_timer() is not None:
                    self._idle.clear()
                    await self._idle.wait()
        self.close()

    def now(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def wake(self) -> None:
        """Look after the endpoint soon."""
        self._work = True
        if not (self._scheduled or self._stepping):
            self._scheduled = True
            self._loop.call_soon(self._step)

    # What an endpoint asks (testbed.stack.mptcp.local_network.LocalNetwork)

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this host."""
        return self.network.hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the address the kernel would use towards another; ``None`` if there is no way."""
        return self.network.source_for(remote_host)

    def port_for(self, local_host: str, remote: Address) -> int:  # noqa: ARG002 - of all addresses
        """Return a free port for a subflow and keep it from the kernel.

        What leaves from there goes out by the interface that the address's endpoint is bound to.
        """
        port = self.hold_port()
        self.network.bind(Address(local_host, port))
        return port

    def release_port(self, local: Address) -> None:
        """Take a port of :meth:`port_for` back."""
        self.network.unbind(local)
        self.let_go_port(local.port)

    # Endpoints of MPTCP

    def announce(self, endpoint: MptcpEndpoint, kernel: KernelEndpoints | None) -> None:
        """Open the ports that an endpoint of MPTCP announces.

        :param kernel: what the endpoint shall follow, if anything; this host closes it.
        :raises PlatformError: a port is somebody else's.
        """
        if kernel is not None:
            self.close_with(kernel)
        self._announced = AnnouncedPorts(self._ports, kernel)
        self._endpoints_are(endpoint, endpoint.paths.endpoints)
        if kernel is not None:
            self._follow(endpoint, kernel)

    def _follow(self, endpoint: MptcpEndpoint, kernel: KernelEndpoints) -> None:
        """Look whether the kernel's endpoints have changed: it does not tell."""
        if kernel.changed():
            self.network.bound = kernel.interfaces
            self._endpoints_are(endpoint, kernel.endpoints)
        self._following = self._loop.call_later(_FOLLOW_S, self._follow, endpoint, kernel)

    def _endpoints_are(self, endpoint: MptcpEndpoint, wanted: Sequence[PathEndpoint]) -> None:
        for port in self._announced.are(wanted):
            self.let_go_port(port)
        self._listen_to_ports()
        endpoint.paths.become(wanted, self.now())
        self.wake()

    # Connections

    async def open_connection(
        self,
        remote: Address,
        source: str | None = None,
        *,
        data: bytes = b"",
        options: SocketOptions = NO_OPTIONS,
    ) -> StreamPair:
        """Open a connection from ``source``, or from the address the kernel would choose.

        :param data: see :meth:`testbed.streams.Streams.open_connection`.
        :raises ValueError: an option cannot be set.
        :raises OSError: it is refused, times out, or there is no way there; EADDRNOTAVAIL:
            ``source`` is not this host's.
        """
        with self._between(remote, Address(source or "", 0)) as flow:
            return await self.streams.open_connection(flow, data, options)

    async def create_connection(
        self,
        protocol: asyncio.Protocol,
        remote: Address,
        source: Address = _ANYWHERE,
        options: SocketOptions = NO_OPTIONS,
    ) -> StreamTransport:
        """Open a connection whose transport calls a protocol of asyncio's.

        :param source: its host and its port are chosen where they are empty and 0.
        :raises ValueError: as :meth:`open_connection`.
        :raises OSError: as :meth:`open_connection`; EADDRINUSE: the kernel has the port, or there
            is such a connection.
        """
        with self._between(remote, source) as flow:
            return await self.streams.create_connection(protocol, flow, options=options)

    @contextlib.contextmanager
    def _between(self, remote: Address, source: Address) -> Iterator[Flow]:
        """Give the flow of a connection, and keep its local port from the kernel meanwhile."""
        remote = Address(unmapped(remote.host), remote.port)
        host = unmapped(source.host) if source.host else None
        if host is not None:
            self._require_local(host)
        host = host or self.network.source_for(remote.host)
        if host is None:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if ":" not in host and self.network.is_local(remote.host) and not is_heard(remote.port):
            # The kernel would refuse it, but takes no IPv4 packets of its own addresses from us.
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        local = Address(host, self.hold_port(source.port))
        try:
            yield Flow(local, remote)
        finally:
            self.let_go_port(local.port)

    def hold_port(self, port: int = 0) -> int:
        """Keep a port from the kernel, any free one if it is 0, until :meth:`let_go_port`.

        :raises OSError: EADDRINUSE, the kernel has it; EACCES, it is privileged.
        """
        if port:
            self._ports.hold(port)
        else:
            port = self._ports.take()
        try:
            self._listen_to_ports()
        except OSError:
            self.let_go_port(port)
            raise
        return port

    def let_go_port(self, port: int) -> None:
        """Give back a port of :meth:`hold_port`, once no connection has to answer on it."""
        self._ports.let_go(port)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    async def start_server(
        self,
        on_connection: OnConnection,
        local: Address,
        options: SocketOptions = NO_OPTIONS,
        *,
        accept_queue: int | None = None,
    ) -> HostServer:
        """Listen on an address (``0.0.0.0`` or ``::``: on all of the family) and a port.

        Port 0 is any free one.

        :param options: connections begin with them.
        :param accept_queue: see :meth:`testbed.streams.Streams.start_server`.
        :raises ValueError: an option cannot be set.
        :raises OSError: EADDRNOTAVAIL, the address is not this host's; EADDRINUSE, the port is open
            already, here or in the kernel.
        """
        readers = self.streams.readers(on_connection)
        return self.create_server(readers, local, options, accept_queue=accept_queue)

    def create_server(
        self,
        factory: Callable[[], asyncio.Protocol],
        local: Address,
        options: SocketOptions = NO_OPTIONS,
        *,
        accept_queue: int | None = None,
    ) -> HostServer:
        """Listen; the transport of each connection calls a protocol of asyncio's.

        The other parameters and the errors are those of :meth:`start_server`.
        """
        local = Address(unmapped(local.host), local.port)
        if local.host not in _ANY_HOST:
            self._require_local(local.host)
        local = Address(local.host, self.hold_port(local.port))
        try:
            server = self.streams.create_server(factory, local, options, accept_queue=accept_queue)
        except (OSError, ValueError):
            self.let_go_port(local.port)
            raise
        return HostServer(self, server)

    def _require_local(self, host: str) -> None:
        if not self.network.is_local(host):
            raise OSError(errno.EADDRNOTAVAIL, f"{host}: {os.strerror(errno.EADDRNOTAVAIL)}")

    def _sweep(self) -> None:
        self._sweeping = None
        if self._ports.sweep(self.endpoint.uses):
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        self._listen_to_ports()

    def released(self, server: Server) -> None:
        """Take that a server is closed."""
        self.let_go_port(server.local.port)

    def _listen_to_ports(self) -> None:
        blocks = self._ports.blocks
        if blocks != self._blocks:
            for each in self._inputs:
                each.listen_to(blocks)
            self._blocks = blocks

    # What comes in

    def _receive(self, fd: int) -> None:
        now = self.now()
        for received in self._receiver.receive(fd):
            packet = received.packet
            try:
                if packet[9 if packet[0] >> 4 == 4 else 6] == _TCP:
                    self._merger.take(received)
                else:
                    self._take_icmp(bytes(packet), now)
            except PacketError:
                continue  # as RFC 9293 has it: damaged segments are dropped silently
            except Exception as error:
                self._report("a packet from the network", error)
        for segment in self._merger.segments():
            try:
                self._take_segment(segment, now)
            except Exception as error:
                self._report("a segment from the network", error)
        self._step()

    def _take_icmp(self, packet: bytes, now: int) -> None:
        error = parse_icmp(packet)
        if error is not None and error.flow.local.port in self._ports:
            self.endpoint.receive_icmp(error, now)

    def _take_segment(self, segment: Segment, now: int) -> None:
        # The kernel's own connections, and those it forwards, are none of our business.
        host, port = segment.destination
        if port in self._ports and self.network.is_local(host):
            self._tap.segment(segment, now)
            self.endpoint.receive(segment, now)

    def _timer_expired(self) -> None:
        self._armed = None
        self._timer.set(None)
        self.endpoint.handle_timer(self.now())
        self._step()

    def _addresses_changed(self, change: Change) -> None:
        endpoint, now = self.endpoint, self.now()
        if isinstance(endpoint, AddressAware):
            for hosts, tell in (
                (change.added, endpoint.address_added),
                (change.removed, endpoint.address_removed),
                (change.silent, endpoint.carrier_lost),
                (change.heard, endpoint.carrier_returned),
            ):
                for host in sorted(hosts):
                    tell(host, now)
            self.wake()

    def _neighbour_changed(self) -> None:
        for segment in self._transmitter.take_parked():
            try:
                self._transmitter.send(segment)
            except Exception as error:
                self._report("a segment to the network", error)

    # What goes out

    def _step(self) -> None:
        """Hand out events and send segments until there are none, then wait for the next timer."""
        endpoint = self.endpoint
        self._scheduled = False
        if self._closed:
            return
        self._work = self._stepping = True
        try:
            while self._work:
                self._work = False
                now = self.now()
                for segment in endpoint.segments_to_send(now):
                    self._work = True
                    try:
                        self._tap.segment(segment, now)
                        self._transmitter.send(segment)
                    except Exception as error:
                        self._report("a segment to the network", error)
                while (happened := endpoint.next_event()) is not None:
                    self._work = True
                    self.streams.dispatch(*happened)
        finally:
            self._stepping = False
        due = endpoint.next_timer()
        if due is None:
            self._idle.set()
        elif self._armed is None or due < self._armed:
            self._timer.set(due)
            self._armed = due

    def _report(self, what: str, error: Exception) -> None:
        """Tell the event loop of an exception that must not keep others from their turn."""
        self._loop.call_exception_handler(
            {"message": f"{what} could not be handled", "exception": error}
        )

    def _unsendable(self, error: IcmpError) -> None:
        self.endpoint.receive_icmp(error, self.now())
        self.wake()


class HostServer:
    """An open port of a :class:`Host`."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host = host
        self._server = server
        self._open = True

    @property
    def local(self) -> Address:
        """Where it listens."""
        return self._server.local

    def close(self) -> None:
        """Stop listening; connections stay."""
        if self._open:
            self._open = False
            self._server.close()
            self._host.released(self._server)
