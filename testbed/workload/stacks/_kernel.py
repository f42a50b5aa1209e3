"""Streams over the kernel's sockets, shared by the stacks that differ in the protocol only."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

from testbed.workload.stacks import OnConnection, Streams

READ_LIMIT: Final = 1024 * 1024  # octets; asyncio stops reading a socket at twice as many unread


async def connect(sock: socket.socket, remote: tuple[str, int]) -> Streams:
    """Connect a fresh socket; it is closed if that fails."""
    try:
        sock.settimeout(0)
        _send_at_once(sock)
        await _connected(sock, remote)
        return await asyncio.open_connection(sock=sock, limit=READ_LIMIT)
    except BaseException:
        sock.close()
        raise


async def _connected(sock: socket.socket, remote: tuple[str, int]) -> None:
    """Do what ``loop.sock_connect`` does: that one refuses protocols getaddrinfo(3) has not."""
    number = sock.connect_ex(remote)
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


async def listen(
    sock: socket.socket, on_connection: OnConnection, local: tuple[str, int]
) -> asyncio.Server:
    """Listen on a fresh socket; it is closed if that fails."""

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _send_at_once(socket_of(writer))
        on_connection(reader, writer)

    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(local)
        return await asyncio.start_server(accepted, sock=sock, limit=READ_LIMIT)
    except BaseException:
        sock.close()
        raise


def family(address: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def socket_of(writer: asyncio.StreamWriter) -> socket.socket:
    """Return the socket under a stream, to ask it things."""
    sock: socket.socket = writer.get_extra_info("socket")
    return sock


def _send_at_once(sock: socket.socket) -> None:
    """Turn Nagle's algorithm off: asyncio does so for IPPROTO_TCP only."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
