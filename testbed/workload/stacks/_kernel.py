"""Streams over the kernel's sockets, common to the stacks that differ only in the protocol."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from testbed import sockinfo
from testbed.errors import PlatformError
from testbed.streams import PieceReader
from testbed.workload.stacks._early import AfterHandshake
from testbed.workload.stacks._records import ends_records
from testbed.workload.stacks.model import OnConnection, Scalar, Streams
from testbed.workload.stacks.options import KernelOptions, given

READ_LIMIT: Final = 1024 * 1024  # octets; asyncio stops reading a socket at twice as many unread
_SYSCTLS: Final = Path("/proc/sys/net/ipv4")
_NAME: Final = 16  # TCP_CA_NAME_MAX, include/net/tcp.h
_S: Final = 1_000_000_000
_MS: Final = 1_000_000
TCP_CONGESTION: Final = 13
_TCP_FASTOPEN: Final = 23
_MSG_FASTOPEN: Final = 0x2000_0000
_FAST_OPEN: Final = "tcp_fastopen"  # the sysctl: bit 0 is for clients, bit 1 for listeners
_BOTH_ENDS: Final = 3
_PENDING: Final = 256  # the limit of connections in the handshake with data on SYN, for each port

# For each option: level, name, and how many of the option's units make one of the kernel's.
_NUMBERS: Final = {
    "send_buffer": (socket.SOL_SOCKET, socket.SO_SNDBUF, 1),
    "receive_buffer": (socket.SOL_SOCKET, socket.SO_RCVBUF, 1),
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    "cork": (socket.IPPROTO_TCP, socket.TCP_CORK, 1),
    "notsent_lowat": (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "keepalive_idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _S),
    "keepalive_interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _S),
    "keepalive_probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1),
    "user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _MS),
}
_DOUBLED: Final = ("send_buffer", "receive_buffer")  # the kernel doubles these: socket(7)
_SWITCHES: Final = ("nodelay", "cork", "keepalive")
_LINGER: Final = struct.Struct("ii")  # struct linger of socket(7): on or off, and seconds


async def connect(
    sock: socket.socket, options: KernelOptions, remote: tuple[str, int], data: bytes
) -> Streams:
    """Connect a new socket, and write to it. On failure, close it."""
    try:
        sock.settimeout(0)
        _apply(sock, options)
        taken = await _connected(sock, remote, data if options.fast_open else b"")
        reader, writer = await _streams(sock)
    except BaseException:
        sock.close()
        raise
    writer.write(data[taken:])
    return reader, writer


async def _streams(sock: socket.socket) -> Streams:
    """Do what ``asyncio.open_connection`` does, but with the reader of our own stacks."""
    loop = asyncio.get_running_loop()
    reader = PieceReader(READ_LIMIT, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _connected(sock: socket.socket, remote: tuple[str, int], early: bytes) -> int:
    """Connect like ``loop.sock_connect``, which refuses protocols unknown to getaddrinfo(3).

    :param early: octets that may be sent with the SYN. Return how many the kernel accepted.
    """
    number, taken = _begin(sock, remote, early)
    if number == errno.EINPROGRESS:
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        loop.add_writer(sock, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))
    return taken


def _begin(sock: socket.socket, remote: tuple[str, int], early: bytes) -> tuple[int, int]:
    """Send the SYN; return an errno or 0, and the number of octets accepted to go with it.

    Without a cookie of the server no octets are accepted, and the SYN requests a cookie.
    """
    if not early:
        return sock.connect_ex(remote), 0
    try:
        return errno.EINPROGRESS, sock.sendto(early, _MSG_FASTOPEN, remote)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise PlatformError(
                "the kernel refuses TCP Fast Open",
                why=f"net.ipv4.{_FAST_OPEN} of this node does not allow it for clients, or the "
                "kernel does not support it for this protocol",
                instead="remove fast_open from this stack",
            ) from error
        return error.errno or errno.EIO, 0


async def listen(
    sock: socket.socket,
    options: KernelOptions,
    on_connection: OnConnection,
    local: tuple[str, int],
) -> asyncio.Server:
    """Listen on a new socket. On failure, close it."""

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _apply(sock := socket_of(writer), options)
        if options.fast_open and sockinfo.is_mptcp(sock):
            writer = AfterHandshake(writer, reader, sock)
        on_connection(reader, writer)

    def protocol() -> asyncio.StreamReaderProtocol:
        reader = PieceReader(READ_LIMIT, loop)
        return asyncio.StreamReaderProtocol(reader, accepted, loop=loop)

    loop = asyncio.get_running_loop()
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _apply(sock, options)  # buffers must be set before a connection offers its window
        if options.fast_open:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN, _PENDING)
        sock.bind(local)
        return await loop.create_server(protocol, sock=sock)
    except BaseException:
        sock.close()
        raise


def family(address: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def socket_of(writer: asyncio.StreamWriter) -> socket.socket:
    """Return the socket under a stream."""
    sock: socket.socket = writer.get_extra_info("socket")
    return sock


def sysctls(options: KernelOptions) -> dict[str, str]:
    """Return the sysctls of the node that correspond to options."""
    if options.fast_open is None:
        return {}
    return {f"net.ipv4.{_FAST_OPEN}": str(_BOTH_ENDS if options.fast_open else 0)}


def used(sock: socket.socket, options: KernelOptions) -> dict[str, Scalar]:
    """Return the congestion control and the requested options of an open socket.

    The value of TCP Fast Open is read from the node's sysctl.
    """
    name = sock.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, _NAME)
    found: dict[str, Scalar] = {"congestion": name.rstrip(b"\0").decode()}
    for option in given(options):
        if option in _NUMBERS:
            level, number, unit = _NUMBERS[option]
            value = sock.getsockopt(level, number)
            if option in _SWITCHES:
                found[option] = bool(value)
            else:
                found[option] = value // 2 if option in _DOUBLED else value * unit
    if options.linger is not None:
        on, seconds = _LINGER.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
        )
        found["linger"] = seconds * _S if on else None
    if "eor" in given(options):
        found["eor"] = ends_records(sock)
    if options.fast_open is not None:
        allowed = int((_SYSCTLS / _FAST_OPEN).read_text(), 0)
        found["fast_open"] = allowed & _BOTH_ENDS == _BOTH_ENDS
    return found


def in_kernel_units(options: KernelOptions) -> Iterator[tuple[str, int, int, int]]:
    """Yield the name, level, number and value of each socket option to set."""
    values: Mapping[str, Scalar] = {"nodelay": True} | given(options)
    for name, value in values.items():
        if name in _NUMBERS:
            level, number, unit = _NUMBERS[name]
            yield name, level, number, int(value or 0) // unit


def _apply(sock: socket.socket, options: KernelOptions) -> None:
    """Set the chosen options. asyncio turns Nagle's algorithm off for IPPROTO_TCP only.

    :raises PlatformError: the kernel refuses.
    """
    if options.congestion is not None:
        _set_congestion(sock, options.congestion)
    if options.linger is not None:
        lingering = _LINGER.pack(1, options.linger // _S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    for name, level, number, value in in_kernel_units(options):
        try:
            sock.setsockopt(level, number, value)
        except OSError as error:
            raise PlatformError(
                f"the option {name} cannot be set to {value}",
                why=f"the kernel refuses it on this socket: {error.strerror}",
                instead="remove it from this stack",
            ) from error


def _set_congestion(sock: socket.socket, name: str) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, name.encode())
    except OSError as error:
        available, allowed = (
            (_SYSCTLS / f"tcp_{which}_congestion_control").read_text().strip()
            for which in ("available", "allowed")
        )
        raise PlatformError(
            f"congestion control {name!r} cannot be used",
            why=f"this kernel has: {available}; unprivileged processes may use: {allowed}",
            instead="choose one of these, or another machine",
        ) from error
