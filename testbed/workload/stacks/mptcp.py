"""The kernel's MPTCP."""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed import sockinfo
from testbed.errors import PlatformError
from testbed.workload.stacks import _kernel
from testbed.workload.stacks.model import Look, OnConnection, Scalar, Server, StackKind, Streams
from testbed.workload.stacks.options import KernelMptcpOptions, given

# Options that are sysctls of the node: the file under /proc/sys/net/mptcp.
_SYSCTLS: Final = {
    "scheduler": "scheduler",
    "path_manager": "path_manager",
    "checksum": "checksum_enabled",
}
_FOLDER: Final = Path("/proc/sys/net/mptcp")


class Mptcp:
    """MPTCP sockets. Programs that do not support them are run by ``mptcpize run``."""

    program_option = "--mptcp"  # iperf3 since 3.19, curl since 8.9

    def __init__(self, options: KernelMptcpOptions) -> None:
        self._options = options

    async def prepare(self) -> None:
        """Do nothing, because the kernel is ready."""

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection."""
        return await _kernel.connect(self._socket(remote[0]), self._options, remote, data)

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on a port for MPTCP and plain TCP (RFC 8684, section 3.7)."""
        return await _kernel.listen(self._socket(local[0]), self._options, on_connection, local)

    def command(self, argv: Sequence[str], report: Path) -> tuple[str, ...]:  # noqa: ARG002
        """Return ``mptcpize run ARGV``, which turns a program's TCP sockets into MPTCP ones.

        It preloads a library, which does not affect a statically linked program. MPTCP_INFO and the
        MIB counters prove which protocol ran.

        :raises PlatformError: mptcpize is not installed.
        """
        if shutil.which("mptcpize") is None:
            raise PlatformError(
                "mptcpize is not installed",
                why=f"{argv[0]} would use plain TCP without it",
                instead="install it (Debian: apt install mptcpize)",
            )
        return ("mptcpize", "run", *argv)

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return MPTCP_INFO and the subflows, or TCP_INFO if the peer used plain TCP."""
        sock = _kernel.socket_of(writer)
        if not sockinfo.is_mptcp(sock):  # accept(2) returns a TCP socket in that case
            return {"tcp_info": sockinfo.tcp_info(sock)}
        found: dict[str, Any] = msgspec.to_builtins(sockinfo.mptcp_info(sock))
        return {"mptcp_info": found}

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the options of the socket and the node."""
        found = _kernel.used(_kernel.socket_of(writer), self._options)
        for option in given(self._options):
            if option in _SYSCTLS:
                value = (_FOLDER / _SYSCTLS[option]).read_text().strip()
                found[option] = value == "1" if option == "checksum" else value
        return found

    def counters(self) -> Mapping[str, int]:
        """Return nothing, because the probe nstat reads the kernel's counters."""
        return {}

    def connections(self) -> Sequence[Look]:
        """Return nothing, because probes see the kernel's sockets."""
        return ()

    async def finish(self) -> None:
        """Return at once, because the kernel ends connections by itself."""

    def _socket(self, address: str) -> socket.socket:
        try:
            return socket.socket(
                _kernel.family(address), socket.SOCK_STREAM, sockinfo.IPPROTO_MPTCP
            )
        except OSError as error:
            if error.errno == errno.ENOPROTOOPT:
                raise PlatformError(
                    "net.mptcp.enabled is 0 in this node",
                    why="the kernel refuses MPTCP sockets",
                    instead="set the node's sysctl net.mptcp.enabled to 1, or use the tcp stack",
                ) from error
            if error.errno in (errno.EPROTONOSUPPORT, errno.EINVAL):
                raise PlatformError(
                    "this kernel has no MPTCP",
                    why="it cannot make an MPTCP socket",
                    instead="use a kernel of version 5.6 or later with CONFIG_MPTCP=y",
                ) from error
            raise


def _sysctls(options: KernelMptcpOptions) -> dict[str, str]:
    """Return the sysctls of the node that correspond to options."""
    return _kernel.sysctls(options) | {
        f"net.mptcp.{_SYSCTLS[name]}": str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in given(options).items()
        if name in _SYSCTLS
    }


MPTCP: Final = StackKind(
    name="mptcp",
    protocol="mptcp",
    in_kernel=True,
    summary="the kernel's MPTCP",
    options=KernelMptcpOptions,
    make=Mptcp,
    sysctls=_sysctls,
    of_node=frozenset(_SYSCTLS),
)
