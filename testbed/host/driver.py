"""An endpoint on the real network: its addresses, ports and connections on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from testbed.driver.device import Device
from testbed.driver.loop import Driver
from testbed.host.clock import LoopClock
from testbed.host.counting import Counting
from testbed.host.devices.base import HostDevice
from testbed.host.devices.packets import PacketDevice
from testbed.host.path_manager import AnnouncedPorts, KernelEndpoints
from testbed.host.recording import Tap, Tapped
from testbed.packet.address import Address, Flow, unmapped
from testbed.packet.segment import Segment
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import OnConnection, Server, StreamPair, StreamTransport

_FOLLOW_S: Final = 0.02  # the period of reading the kernel's endpoints
_SWEEP_S: Final = 1.0  # the period of looking for ports to give back
_ANYWHERE: Final = Address("", 0)
_ANY_HOST: Final = ("0.0.0.0", "::")  # noqa: S104 - names of addresses, nothing is bound
LINGER_S: Final = 3.0


class Closable(Protocol):
    """Something to close together with a host."""

    def close(self) -> None:
        """Close it."""


class Host:
    """One endpoint on a device.

    Create it inside a running event loop, and close it at the end.

    :param make: creates the endpoint, which may request addresses and ports from the host.
    :param device: closed with this; by default the interfaces of the network namespace
        (:class:`~testbed.host.devices.packets.PacketDevice`).
    :param tap: gets all segments.
    :raises PlatformError: this process may not open packet sockets.
    """

    def __init__(
        self,
        make: Callable[[Host], Endpoint],
        *,
        device: HostDevice | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._device = device or PacketDevice(random.SystemRandom())
        self._ports = self._device.ports
        self._clock = LoopClock()
        self._sweeping: asyncio.TimerHandle | None = None
        self._following: asyncio.TimerHandle | None = None
        self._others = contextlib.ExitStack()  # resources that are closed with this driver
        self._closed = False
        self._idle = asyncio.Event()
        carrier: Device = self._device
        if tap is not None:
            carrier = Tapped(carrier, tap, self._clock.now)
        self._driver = Driver(self._clock, carrier, self._report)
        self._driver.when_idle(self._idle.set)
        self._driver.begin(make(self))
        self._counting = Counting(self.endpoint)
        self.streams = self._driver.streams

    def close(self) -> None:
        """Stop at once, and forget open connections."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._sweeping, self._following):
            if timer is not None:
                timer.cancel()
        self._counting.close()
        self._driver.close()
        self._clock.close()
        self._others.close()  # the kernel may listen on its ports again

    def close_with(self, other: Closable) -> None:
        """Close something else together with the host."""
        self._others.callback(other.close)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint."""
        return self._driver.endpoint

    @property
    def device(self) -> str:
        """The requested name of the device."""
        return self._device.name

    @property
    def lost_interfaces(self) -> Sequence[str]:
        """The interfaces that were requested by name and have been deleted."""
        return self._device.lost

    async def finish(self, limit_s: float = LINGER_S) -> None:
        """Wait until no connection has anything left to do, then close.

        All connections must be closed before.

        :param limit_s: how long to wait for an unreachable peer, in seconds.
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
        return self._clock.now()

    def wake(self) -> None:
        """Schedule a round for the endpoint."""
        self._driver.wake()

    def before_sending(self, action: Callable[[Sequence[Segment]], object]) -> None:
        """Call ``action`` with segments before they leave."""
        self._driver.before_sending(action)

    # Methods for an endpoint (testbed.stack.mptcp.local_network.LocalNetwork)

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this host."""
        return self._device.hosts

    def is_local(self, host: str) -> bool:
        """Return whether packets to an address are for this host."""
        return self._device.is_local(host)

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address that the kernel would use, or ``None`` if there is no route."""
        return self._device.source_for(remote_host)

    def port_for(self, local_host: str, remote: Address) -> int:  # noqa: ARG002 - of all addresses
        """Return a free port for a subflow, reserved from the kernel.

        The subflow is bound to the interface of the address's endpoint.
        """
        port = self.hold_port()
        self._device.bind(Address(local_host, port))
        return port

    def release_port(self, local: Address) -> None:
        """Release a port of :meth:`port_for`."""
        self._device.unbind(local)
        self.let_go_port(local.port)

    # Endpoints of MPTCP

    def announce(self, endpoint: MptcpEndpoint, kernel: KernelEndpoints | None) -> None:
        """Open the ports that the MPTCP endpoints announce.

        :param kernel: the kernel's endpoints to follow, if any. The host closes it.
        :raises PlatformError: another program has a port.
        """
        if kernel is not None:
            self.close_with(kernel)
        self._announced = AnnouncedPorts(self._ports, kernel)
        self._endpoints_are(endpoint, endpoint.paths.endpoints)
        if kernel is not None:
            self._follow(endpoint, kernel)

    def _follow(self, endpoint: MptcpEndpoint, kernel: KernelEndpoints) -> None:
        """Poll the kernel's endpoints, as the kernel does not report changes."""
        if kernel.changed():
            self._device.bind_hosts(kernel.interfaces)
            own = [one for one in kernel.endpoints if self._device.has_endpoint(one.host)]
            self._endpoints_are(endpoint, own)
        self._following = self._loop.call_later(_FOLLOW_S, self._follow, endpoint, kernel)

    def _endpoints_are(self, endpoint: MptcpEndpoint, wanted: Sequence[PathEndpoint]) -> None:
        for port in self._announced.are(wanted):
            self.let_go_port(port)
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
        """Open a connection from ``source``, or from the address that the kernel would choose.

        :param data: see :meth:`testbed.streams.Streams.open_connection`.
        :raises ValueError: an option cannot be set.
        :raises OSError: it is refused, times out, or there is no route; EADDRNOTAVAIL if ``source``
            is no address of this host.
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
        """Open a connection whose transport calls an asyncio protocol.

        :param source: the local address. An empty host and port 0 are chosen.
        :raises ValueError: as :meth:`open_connection`.
        :raises OSError: as :meth:`open_connection`; EADDRINUSE if the kernel has the port, or the
            connection exists.
        """
        with self._between(remote, source) as flow:
            return await self.streams.create_connection(protocol, flow, options=options)

    @contextlib.contextmanager
    def _between(self, remote: Address, source: Address) -> Iterator[Flow]:
        """Yield the flow of a new connection, with its local port reserved from the kernel."""
        remote = Address(unmapped(remote.host), remote.port)
        host = unmapped(source.host) if source.host else None
        if host is not None:
            self._require_local(host)
        host = host or self._device.source_for(remote.host)
        if host is None:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if self._device.refuses(host, remote):
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        local = Address(host, self.hold_port(source.port))
        try:
            yield Flow(local, remote)
        finally:
            self.let_go_port(local.port)

    def hold_port(self, port: int = 0) -> int:
        """Reserve a port, or any free one if it is 0, until :meth:`let_go_port`.

        :raises OSError: EADDRINUSE if the kernel has it, EACCES if it is privileged.
        """
        if port:
            self._ports.hold(port)
        else:
            port = self._ports.take()
        return port

    def let_go_port(self, port: int) -> None:
        """Release a port of :meth:`hold_port`, once no connection must answer on it."""
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
        """Listen on an address (``0.0.0.0`` or ``::`` for all of a family) and a port.

        Port 0 chooses a free one.

        :param options: the options of new connections.
        :param accept_queue: see :meth:`testbed.streams.Streams.start_server`.
        :raises ValueError: an option cannot be set.
        :raises OSError: EADDRNOTAVAIL if the address is not this host's; EADDRINUSE if the port is
            open already, here or in the kernel.
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
        """Listen. The transport of each connection calls an asyncio protocol.

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
        if not self._device.is_local(host):
            raise OSError(errno.EADDRNOTAVAIL, f"{host}: {os.strerror(errno.EADDRNOTAVAIL)}")

    def _sweep(self) -> None:
        self._sweeping = None
        if self._ports.sweep(self.endpoint.uses):
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def released(self, server: Server) -> None:
        """Record that a server is closed."""
        self.let_go_port(server.local.port)

    def _report(self, what: str, error: Exception) -> None:
        """Report an exception, which must not affect other packets, to the event loop."""
        self._loop.call_exception_handler(
            {"message": f"{what} could not be handled", "exception": error}
        )


class HostServer:
    """An open port of a :class:`Host`."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host = host
        self._server = server
        self._open = True

    @property
    def local(self) -> Address:
        """The local address."""
        return self._server.local

    def close(self) -> None:
        """Stop listening. Connections stay."""
        if self._open:
            self._open = False
            self._server.close()
            self._host.released(self._server)
