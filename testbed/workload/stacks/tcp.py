"""The kernel's TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from testbed import sockinfo
from testbed.workload.stacks import Look, OnConnection, Server, Streams, _kernel


class Tcp:
    """Plain TCP sockets, and programs as they are."""

    name = protocol = "tcp"
    in_kernel = True
    program_option = None

    async def prepare(self) -> None:
        """Return: the kernel is ready."""

    async def connect(self, remote: tuple[str, int]) -> Streams:
        """Open a connection."""
        return await _kernel.connect(self._socket(remote[0]), remote)

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on a port."""
        return await _kernel.listen(self._socket(local[0]), on_connection, local)

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return ``argv``: programs use TCP by themselves."""
        return tuple(argv)

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return TCP_INFO."""
        return {"tcp_info": sockinfo.tcp_info(_kernel.socket_of(writer))}

    def connections(self) -> Sequence[Look]:
        """Return nothing: probes see the kernel's sockets."""
        return ()

    async def finish(self) -> None:
        """Return at once: the kernel ends connections by itself."""

    def _socket(self, address: str) -> socket.socket:
        return socket.socket(_kernel.family(address), socket.SOCK_STREAM, socket.IPPROTO_TCP)


STACK = Tcp()
