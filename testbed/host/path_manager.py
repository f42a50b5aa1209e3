"""The MPTCP endpoints of this network namespace (``ip mptcp endpoint``), and their changes.

The kernel listens on the ports that its endpoints announce, and would answer joins to our
connections by RST. So we take over a port that we announce: the kernel's endpoint has no port while
we use it. This is done only in sandboxes, never on a host. A Unix socket with a name of this
namespace tells other processes of ours which process has the port.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.host.devices.ports import Ports
from testbed.netlink import mptcp as kernel
from testbed.netlink.codec import NETLINK_GENERIC
from testbed.netlink.mptcp import KernelEndpoint
from testbed.netlink.transport import Netlink
from testbed.packet.address import unmapped
from testbed.stack.mptcp.path_manager.base import PathEndpoint

_NAME: Final = "testbed mptcp endpoint"  # name of the sockets that show which ports are in use
_UNIX: Final = Path("/proc/net/unix")


class KernelEndpoints:
    """The endpoints of the kernel's path manager, and the ports taken over from it.

    :raises LookupError: this kernel has no MPTCP.
    """

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_GENERIC)
        family = kernel.family_number(self._netlink)
        if family is None:
            self._netlink.close()
            raise LookupError("no MPTCP in the kernel")
        self._family = family
        self._raw: list[bytes] | None = None
        self._found: tuple[KernelEndpoint, ...] = ()
        self._taken: dict[KernelEndpoint, socket.socket] = {}  # endpoints with a port, as last read

    def limits(self) -> tuple[int, int]:
        """Return the limits: additional subflows, and accepted ADD_ADDRs."""
        return kernel.read_limits(self._netlink, self._family)

    def changed(self) -> bool:
        """Read the endpoints; return whether they have changed."""
        raw = kernel.dump_endpoints(self._netlink, self._family)
        if raw == self._raw:
            return False
        self._raw = raw
        ports = dict(_taken_ports())
        self._found = tuple(
            msgspec.structs.replace(one, port=one.port or ports.get((one.id, one.address), 0))
            for one in kernel.read_endpoints(raw)
        )
        for gone in [one for one in self._taken if one not in self._found]:
            self._taken.pop(gone).close()
        return True

    @property
    def endpoints(self) -> tuple[PathEndpoint, ...]:
        """The endpoints, as last read."""
        return path_endpoints(self._found)

    @property
    def interfaces(self) -> dict[str, int]:
        """The interface indexes of addresses whose subflows are bound to an interface."""
        return {unmapped(one.address): one.interface for one in self._found if one.interface}

    def take_port(self, port: int) -> None:
        """Take over a port that endpoints of the kernel announce.

        :raises OSError: the kernel refuses, another process of ours has the port, or this is the
            host's own network, where the removal of an endpoint would end subflows of other
            programs.
        """
        for one in self._found:
            if one.port != port or one in self._taken:
                continue
            if _is_the_hosts_own():
                raise OSError(
                    errno.EPERM,
                    "the kernel listens there, and testbed does not change the endpoints of a host",
                )
            sign = socket.socket(socket.AF_UNIX)
            try:
                sign.bind(f"\0{_NAME} {one.id} {one.address} {port}")
                self._replace(one, msgspec.structs.replace(one, port=0))
            except OSError:
                sign.close()
                raise
            self._taken[one] = sign

    def close(self) -> None:
        """Return all ports to the kernel."""
        for one, sign in self._taken.items():
            with contextlib.suppress(OSError):  # the endpoint may have gone meanwhile
                self._replace(one, one)
            sign.close()
        self._taken.clear()
        self._netlink.close()

    def _replace(self, old: KernelEndpoint, new: KernelEndpoint) -> None:
        requests = [
            kernel.remove_endpoint(self._family, old.id),
            kernel.add_endpoint(self._family, new),
        ]
        for error in self._netlink.request(requests):
            if error is not None:
                raise OSError(error.number, str(error))
        self._raw = kernel.dump_endpoints(self._netlink, self._family)


class AnnouncedPorts:
    """The announced ports, which are open as long as an endpoint announces them.

    :param ports: the ports of the host.
    :param endpoints: the kernel's endpoints, if they are followed.
    """

    def __init__(self, ports: Ports, endpoints: KernelEndpoints | None) -> None:
        self._ports = ports
        self._endpoints = endpoints
        self._open: set[int] = set()

    def are(self, endpoints: Iterable[PathEndpoint]) -> set[int]:
        """Open the ports of these endpoints; return the ports to release.

        :raises PlatformError: another program has a port.
        """
        wanted = {one.port for one in endpoints if one.signal and one.port is not None}
        for port in sorted(wanted - self._open):
            try:
                self._hold(port)
            except OSError as error:
                raise PlatformError(
                    f"the port {port} of an endpoint cannot be opened",
                    why=error.strerror or str(error),
                    instead="use it in one process at a time and in a sandbox, or remove it",
                ) from error
        gone, self._open = self._open - wanted, wanted
        return gone

    def _hold(self, port: int) -> None:
        try:
            self._ports.hold(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or self._endpoints is None:
                raise
            self._endpoints.take_port(port)
            self._ports.hold(port)


def _is_the_hosts_own() -> bool:
    """Return whether this network namespace is or may be that of PID 1."""
    try:
        return Path("/proc/1/ns/net").samefile("/proc/self/ns/net")
    except OSError:
        return True


def _taken_ports() -> Iterator[tuple[tuple[int, str], int]]:
    """Yield id, address and port of endpoints whose port a process of ours has taken over."""
    try:
        text = _UNIX.read_text()
    except OSError:
        return
    for line in text.splitlines():
        _, found, rest = line.partition(f"@{_NAME} ")
        if found:
            number, address, port = rest.split()
            yield (int(number), address), int(port)


def path_endpoints(found: Iterable[KernelEndpoint]) -> tuple[PathEndpoint, ...]:
    """Return the kernel's endpoints as values for path managers.

    Implicit endpoints are left out: the kernel creates them for the ids of its own connections.
    """
    return tuple(_path_endpoint(one) for one in found if not one.flags & kernel.IMPLICIT)


def _path_endpoint(endpoint: KernelEndpoint) -> PathEndpoint:
    return PathEndpoint(
        host=unmapped(endpoint.address),
        id=endpoint.id,
        subflow=bool(endpoint.flags & kernel.SUBFLOW),
        signal=bool(endpoint.flags & kernel.SIGNAL),
        backup=bool(endpoint.flags & kernel.BACKUP),
        fullmesh=bool(endpoint.flags & kernel.FULLMESH),
        laminar=bool(endpoint.flags & kernel.LAMINAR),
        port=endpoint.port or None,
    )
