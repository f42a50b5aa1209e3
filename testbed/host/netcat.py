"""``testbed nc``: standard input and output over a connection of the userspace stack."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.errors import InputError, TestbedError
from testbed.host import endpoints, stdio
from testbed.host.devices import names
from testbed.host.devices.opening import open_device
from testbed.host.driver import Host, HostServer
from testbed.host.recording import Capture, JsonTracer
from testbed.packet.address import Address
from testbed.stack.connection import Connection
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.streams import StreamPair, error_of

RETRY_S: Final = 3.0  # time for a listener that was started just before
_RETRY_EVERY_S: Final = 0.2
_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - it is a listener


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line.

    :param host: the host to connect to or to listen on; ``None`` listens on any address.
    :param families: the allowed address families.
    :param sources: local addresses: that of the connection, and others for subflows.
    :param wait_s: the time without any activity after which to give up; ``None`` for no limit.
    :param retry_s: how long to retry a refused connection.
    """

    host: str | None
    port: int
    listen: bool
    families: tuple[socket.AddressFamily, ...]
    sources: tuple[str, ...] = ()
    wait_s: float | None = None
    retry_s: float = RETRY_S
    pcap: Path | None = None
    trace: Path | None = None
    verbose: bool = False


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of the connection.

    :param tcp: derives the configuration of TCP from that of the namespace.
    :param mptcp: the same for MPTCP; ``None`` for plain TCP.
    :param device: see :mod:`testbed.host.devices.names`.
    """

    tcp: Callable[[TcpConfig], TcpConfig]
    mptcp: Callable[[MptcpConfig], MptcpConfig] | None = None
    device: str = names.PACKET


def options(
    where: Sequence[str], *, listen: bool, ipv4: bool, ipv6: bool, **others: Any
) -> Options:
    """Check a command line.

    :param where: ``[HOST] PORT``.
    :raises InputError: something does not exist, or options exclude each other.
    """
    if not 1 <= len(where) <= 2 or (len(where) == 1 and not listen):
        raise InputError("the destination is missing: give HOST PORT, or -l PORT to listen")
    if ipv4 and ipv6:
        raise InputError("-4 and -6 exclude each other")
    wanted = {socket.AF_INET: not ipv6, socket.AF_INET6: not ipv4}
    found = Options(
        host=where[0] if len(where) == 2 else None,
        port=_port(where[-1]),
        listen=listen,
        families=tuple(family for family, allowed in wanted.items() if allowed),
        **others,
    )
    _nameable(found.host or "")
    for source in found.sources:
        _numeric(source)
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InputError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def _nameable(host: str) -> None:
    """Check that Python's resolver can handle a name."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise InputError(f"{host!r} is not a valid host name") from None


def _numeric(host: str) -> None:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        raise InputError(f"{host!r} is not a numeric address") from None


async def run(options: Options, stack: Stack) -> None:
    """Connect or listen, carry data in both directions until both sides are closed.

    :raises TestbedError: the connection could not be opened, or failed.
    :raises StoreError: a recording is incomplete. The data was carried nevertheless.
    :raises PlatformError: this process may not open the device.
    """
    with contextlib.ExitStack() as files:
        host = _host(options, stack, files)
        try:
            await _Session(options, host).run()
        finally:
            await asyncio.sleep(0)  # let a RST that is due leave
            host.close()


def _host(options: Options, stack: Stack, files: contextlib.ExitStack) -> Host:
    tap = tracer = None
    if options.pcap is not None:
        tap = files.enter_context(contextlib.closing(Capture(options.pcap)))
    if options.trace is not None:
        tracer = files.enter_context(contextlib.closing(JsonTracer(options.trace)))
    tcp = endpoints.usual(endpoints.TCP)
    if stack.mptcp is None:
        return Host(endpoints.tcp(stack.tcp(tcp)), device=open_device(stack.device), tap=tap)
    config = endpoints.like_the_kernel(msgspec.structs.replace(endpoints.MPTCP, tcp=tcp))
    if options.sources:
        further = options.sources if options.listen else options.sources[1:]
        config = endpoints.using(config, further, signal=options.listen)
    make = endpoints.mptcp(stack.mptcp(config), tracer, follow=not options.sources)
    return Host(make, device=open_device(stack.device), tap=tap)


class _Session:
    """One connection and the two descriptors."""

    def __init__(self, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self._sent = self._received = 0
        self._waiting_for = "a connection"
        self._peer_closed = asyncio.Event()
        # Open while the connection lives: further subflows come only to open ports.
        self._servers: list[HostServer] = []

    async def run(self) -> None:
        try:
            async with asyncio.timeout(self._options.wait_s) as self._patience:
                reader, writer = await self._open()
                started = time.monotonic()
                async with _aborted_on_failure(writer):
                    await self._carry(reader, writer)
                    self._happened("the connection to close")
                    await self._host.streams.finished()
                connection = _connection(writer)
                for server in self._servers:
                    server.close()
                if connection.failure is not None:
                    raise error_of(connection.failure)
                seconds = time.monotonic() - started
                await self._host.finish()  # a subflow may not have its last acknowledgements yet
                self._summarise(connection.info(), seconds)
        except OSError as error:
            if isinstance(error, TimeoutError) and self._patience.expired():
                waited = f"nothing happened for {self._options.wait_s:g} s"
                message = f"{waited} while waiting for {self._waiting_for}"
                if lost := self._host.lost_interfaces:
                    message += f"; deleted meanwhile: {', '.join(lost)}"
                raise TestbedError(message) from None
            raise TestbedError(f"{self._waiting_for}: {error.strerror or error}") from error

    def _happened(self, waiting_for: str | None = None) -> None:
        """Restart the time-out."""
        if waiting_for is not None:
            self._waiting_for = waiting_for
        if self._options.wait_s is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + self._options.wait_s)

    async def _open(self) -> StreamPair:
        pair = await (self._accept() if self._options.listen else self._connect())
        self._happened("data")
        self._say(f"connected: {_connection(pair[1]).flow}")
        return pair

    async def _connect(self) -> StreamPair:
        """Try each address in turn. If one of them refuses, retry until the time is over."""
        options = self._options
        until = asyncio.get_running_loop().time() + options.retry_s
        addresses = await _resolve(options)
        while True:
            try:
                return await self._connect_to_any(addresses)
            except ConnectionRefusedError:
                if asyncio.get_running_loop().time() >= until:
                    raise
                self._say(f"no program listens on {self._waiting_for} yet")
            await asyncio.sleep(_RETRY_EVERY_S)

    async def _connect_to_any(self, addresses: Sequence[Address]) -> StreamPair:
        """Try each address in turn.

        :raises OSError: none works. The message has the result for each. A refusal has precedence
            over an unreachable address.
        """
        source = self._options.sources[0] if self._options.sources else None
        failed: list[tuple[Address, OSError]] = []
        for address in addresses:
            self._waiting_for = f"{address.host} port {address.port}"
            try:
                return await self._host.open_connection(address, source)
            except OSError as error:
                failed.append((address, error))
        self._waiting_for = f"{self._options.host} port {self._options.port}"
        raise _of_all(failed)

    async def _accept(self) -> StreamPair:
        options = self._options
        first: asyncio.Future[StreamPair] = asyncio.get_running_loop().create_future()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if first.done():
                writer.transport.abort()
            else:
                first.set_result((reader, writer))

        hosts = [_ANY[family] for family in options.families]
        if options.host is not None:
            hosts = [address.host for address in await _resolve(options)]
        for host in hosts:
            local = Address(host, options.port)
            self._waiting_for = str(local)
            self._servers.append(await self._host.start_server(accepted, local))
        self._waiting_for = f"a connection to port {options.port}"
        self._say("listening on " + ", ".join(str(server.local) for server in self._servers))
        return await first

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._send(writer))
            both.create_task(self._receive(reader))
        writer.close()
        await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while data := await self._input():
            writer.write(data)
            self._sent += len(data)
            await writer.drain()
            self._happened()
        writer.write_eof()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(2**18):
            self._received += len(data)
            self._happened()
            await stdio.write_all(sys.stdout.fileno(), data)
        stdio.end(sys.stdout.fileno())  # the reader of stdout sees its end while we still send
        self._peer_closed.set()

    async def _input(self) -> bytes:
        """Read standard input; ``b""`` at its end.

        A terminal has no end: its input ends when the peer closes its side. For a job in the
        background, which may not read the terminal, it is empty.
        """
        descriptor = sys.stdin.fileno()
        if not os.isatty(descriptor):
            return await stdio.read_some(descriptor)
        if not stdio.in_foreground(descriptor):
            return b""
        reading = asyncio.ensure_future(stdio.read_some(descriptor))
        closed = asyncio.ensure_future(self._peer_closed.wait())
        try:
            await asyncio.wait((reading, closed), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()
            closed.cancel()

    def _summarise(self, info: dict[str, Any], seconds: float) -> None:
        self._say(f"sent {self._sent} octets, received {self._received} octets in {seconds:.2f} s")
        for line in describe(info):
            self._say(line)

    def _say(self, line: str) -> None:
        if self._options.verbose:
            print(f"testbed: {line}", file=sys.stderr, flush=True)


def describe(info: dict[str, Any]) -> list[str]:
    """Return a text about a connection, with a line for each subflow."""
    if "subflows" not in info:
        return [f"TCP: {_counts(info)}"]
    kind = "TCP, after a fallback from MPTCP" if info["fallback"] else "MPTCP"
    subflows = sorted((*info["ended"], *info["subflows"]), key=lambda one: int(one["id"]))
    return [f"{kind}, {len(subflows)} subflow{'s' if len(subflows) > 1 else ''}:"] + [
        f"  {one['id']}: {one['local']} -> {one['remote']}{' backup' if one['backup'] else ''}: "
        f"{_counts(one['tcp'])}"
        for one in subflows
    ]


def _counts(tcp: dict[str, Any]) -> str:
    again = tcp["total_retrans"]
    return (
        f"sent {tcp['bytes_acked']} octets, received {tcp['bytes_received']}, "
        f"round-trip time {tcp['rtt'] / 1000:.3g} ms, "
        f"{again} segment{'s' * (again != 1)} retransmitted"
    )


def _of_all(failed: Sequence[tuple[Address, OSError]]) -> OSError:
    """Return an error with the result for each tried address."""
    numbers = {error.errno for _, error in failed}
    _, last = failed[-1]
    if len(failed) == 1:
        return last
    said = "; ".join(f"{address.host}: {error.strerror}" for address, error in failed)
    return OSError(errno.ECONNREFUSED if errno.ECONNREFUSED in numbers else last.errno, said)


def _connection(writer: asyncio.StreamWriter) -> Connection:
    connection: Connection = writer.get_extra_info("connection")
    return connection


async def _resolve(options: Options) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise TestbedError(f"{options.host}: {error.strerror}") from None
    addresses = [Address(*where[:2]) for family, *_, where in found if family in options.families]
    if not addresses:
        raise TestbedError(f"{options.host} has no address of the requested family")
    return addresses


@contextlib.asynccontextmanager
async def _aborted_on_failure(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    except BaseExceptionGroup as group:
        writer.transport.abort()
        raise group.exceptions[0] from None
    except BaseException:
        writer.transport.abort()
        raise
