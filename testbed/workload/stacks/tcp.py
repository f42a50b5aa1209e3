"""The kernel's TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from testbed import sockinfo
from testbed.workload.stacks import _kernel
from testbed.workload.stacks._records import RecordSocket
from testbed.workload.stacks.model import Look, OnConnection, Scalar, Server, StackKind, Streams
from testbed.workload.stacks.options import KernelTcpOptions


class Tcp:
    """Plain TCP sockets. Programs run unchanged."""

    program_option = None

    def __init__(self, options: KernelTcpOptions) -> None:
        self._options = options

    async def prepare(self) -> None:
        """Do nothing, because the kernel is ready."""

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection."""
        return await _kernel.connect(self._socket(remote[0]), self._options, remote, data)

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on a port."""
        return await _kernel.listen(self._socket(local[0]), self._options, on_connection, local)

    def command(self, argv: Sequence[str], report: Path) -> tuple[str, ...]:  # noqa: ARG002
        """Return ``argv``, because programs use TCP by themselves."""
        return tuple(argv)

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return TCP_INFO."""
        return {"tcp_info": sockinfo.tcp_info(_kernel.socket_of(writer))}

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the options of the socket."""
        return _kernel.used(_kernel.socket_of(writer), self._options)

    def counters(self) -> Mapping[str, int]:
        """Return nothing, because the probe nstat reads the kernel's counters."""
        return {}

    def connections(self) -> Sequence[Look]:
        """Return nothing, because probes see the kernel's sockets."""
        return ()

    async def finish(self) -> None:
        """Return at once, because the kernel ends connections by itself."""

    def _socket(self, address: str) -> socket.socket:
        kind = RecordSocket if self._options.eor else socket.socket
        return kind(_kernel.family(address), socket.SOCK_STREAM, socket.IPPROTO_TCP)


TCP: Final = StackKind(
    name="tcp",
    protocol="tcp",
    in_kernel=True,
    summary="the kernel's TCP",
    options=KernelTcpOptions,
    make=Tcp,
    sysctls=_kernel.sysctls,
)
