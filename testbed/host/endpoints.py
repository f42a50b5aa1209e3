"""The endpoints for a real network: TCP, and MPTCP that follows ``ip mptcp``."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.host.commands import CommandSocket, default_name
from testbed.host.driver import Host
from testbed.host.path_manager import KernelEndpoints
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion import CONTROLS
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.trace import NullTracer, Tracer, Tracers

_SECRET: Final = 16  # octets
_RANDOM: Final = secrets.SystemRandom()
# A connection in TIME-WAIT ends with this process.  So it is not worth the wait
# of two maximum segment lifetimes: it is kept for the case that one ACK is lost.
TCP: Final = TcpConfig(gso=True, time_wait_ns=500_000_000)

MPTCP: Final = MptcpConfig(tcp=TCP)

_CONGESTION: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_CHECKSUM: Final = Path("/proc/sys/net/mptcp/checksum_enabled")
_ALLOW_JOIN: Final = Path("/proc/sys/net/mptcp/allow_join_initial_addr_port")

Make = Callable[[Host], Endpoint]


def tcp(config: TcpConfig = TCP) -> Make:
    """Return a factory of a TCP endpoint."""
    return lambda _: TcpEndpoint(config, secrets.token_bytes(_SECRET))


def mptcp(config: MptcpConfig, tracer: Tracer | None = None, *, follow: bool = False) -> Make:
    """Return a factory of an MPTCP endpoint.

    With the path manager ``command`` it has a socket by which programs manage its paths.

    :param follow: whether its endpoints follow ``ip mptcp endpoint``.
    """
    SCHEDULERS.take(config.scheduler)
    PATH_MANAGERS.take(config.path_manager)
    CONTROLS.take(config.tcp.congestion)

    def make(host: Host) -> Endpoint:
        commands = None
        told = tracer or NullTracer()
        if config.path_manager == "command":
            commands = CommandSocket(default_name(), host.now, host.wake)
            host.close_with(commands)
            told = Tracers(told, commands)
        endpoint = MptcpEndpoint(
            config, _RANDOM, secrets.token_bytes(_SECRET), network=host, tracer=told
        )
        if commands is not None:
            commands.control(endpoint.paths)
        with contextlib.suppress(LookupError):  # a kernel without MPTCP has none
            host.announce(endpoint, KernelEndpoints() if follow else None)
        return endpoint

    return make


def usual(config: TcpConfig) -> TcpConfig:
    """Return a configuration with the congestion control of this namespace, if the stack has it.

    It is the default of the kernel's sockets.
    """
    name = _CONGESTION.read_text().strip()
    known = name in CONTROLS.own()
    return msgspec.structs.replace(config, congestion=name) if known else config


def like_the_kernel(config: MptcpConfig) -> MptcpConfig:
    """Return a configuration with the limits and sysctls of this network namespace.

    The limits are those of ``ip mptcp limits``. Checksums are required, and joins to the initial
    address denied, if ``net.mptcp.checksum_enabled`` and ``allow_join_initial_addr_port`` or the
    configuration require it. Without MPTCP in the kernel nothing changes.
    """
    try:
        with contextlib.closing(KernelEndpoints()) as found:
            subflows, add_addr_accepted = found.limits()
    except LookupError:
        return config
    return msgspec.structs.replace(
        config,
        checksum=config.checksum or _CHECKSUM.read_text().strip() == "1",
        deny_join_initial=config.deny_join_initial or _ALLOW_JOIN.read_text().strip() == "0",
        limits=PathLimits(subflows=subflows, add_addr_accepted=add_addr_accepted),
    )


def using(config: MptcpConfig, hosts: Sequence[str], *, signal: bool) -> MptcpConfig:
    """Return a configuration whose path manager uses only these local addresses.

    :param signal: announce them to the peer, as a server does, instead of connecting from them.
    """
    return msgspec.structs.replace(
        config,
        limits=PathLimits(),
        endpoints=tuple(
            PathEndpoint(host=host, id=number, subflow=not signal, signal=signal)
            for number, host in enumerate(hosts, 1)
        ),
    )
