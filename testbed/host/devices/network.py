"""The present addresses, routes and neighbours of this network namespace."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from testbed.driver.device import Change
from testbed.host.devices import rtnetlink
from testbed.host.devices.monitor import Monitor
from testbed.host.devices.rtnetlink import Interface, Neighbour
from testbed.netlink.transport import Netlink
from testbed.packet.address import Address

# linux/rtnetlink.h: LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE,
# IPV6_RULE
_GROUPS: Final = (1, 3, 5, 7, 8, 9, 11, 19)
_DELNEIGH: Final = 29
_NEIGHBOUR: Final = (28, _DELNEIGH)  # RTM_NEWNEIGH
_ROUTES: Final = (24, 25, 32, 33)  # RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE
_MOST_PATHS: Final = 4096
_ETHERTYPES: Final = {socket.AF_INET: b"\x08\x00", socket.AF_INET6: b"\x86\xdd"}

Key = tuple[int, str]  # index of an interface, address of a neighbour


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """The way of packets between two addresses.

    :param header: the link header to put before them: Ethernet, or none.
    :param mtu: octets of the largest packet.
    """

    interface: Interface
    header: bytes
    mtu: int


class Network:
    """The kernel's view of this network namespace, kept up to date.

    :param on_addresses: called when addresses have changed. An address counts while it exists: if
        its interface is down, it may still be reachable through another one (RFC 1122, 3.3.4.2).
    :param on_neighbour: called when neighbours were resolved, or failed.
    """

    def __init__(
        self,
        on_addresses: Callable[[Change], None],
        on_neighbour: Callable[[], None],
    ) -> None:
        self._on_addresses = on_addresses
        self._on_neighbour = on_neighbour
        self._netlink = Netlink()
        self._monitor = Monitor(_GROUPS)
        self.addresses: frozenset[str] = frozenset()
        self._running: frozenset[str] = frozenset()  # addresses on interfaces with a carrier
        self._bound_hosts: dict[str, int] = {}
        self._bound: dict[Address, int] = {}
        self._interfaces: dict[int, Interface] = {}
        self._neighbours: dict[Key, Neighbour] = {}
        self._asked: set[Key] = set()  # neighbours that the kernel is resolving or confirming
        self._failed: set[Key] = set()  # neighbours whose failure is not reported yet
        self._paths: dict[tuple[str, str, int], Path] = {}
        self._read_tables()

    def fileno(self) -> int:
        """Return the descriptor that has input when something has changed."""
        return self._monitor.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._netlink.close()
        self._monitor.close()

    def is_local(self, host: str) -> bool:
        """Tell whether packets to that address are for this host."""
        return host in self.addresses or host.startswith("127.")

    @property
    def has_bare_links(self) -> bool:
        """Whether there is an interface without a link header."""
        return not all(each.framed for each in self._interfaces.values())

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses that other hosts may know."""
        addresses = (ipaddress.ip_address(host) for host in sorted(self.addresses))
        return [str(each) for each in addresses if not (each.is_loopback or each.is_link_local)]

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address that the kernel would use, or ``None`` if there is no route."""
        try:
            return rtnetlink.find_route(self._netlink, None, remote_host).source
        except OSError:
            return None

    def bind_hosts(self, interfaces: Mapping[str, int]) -> None:
        """Bind what subflows from some addresses send to interfaces, given by index."""
        self._bound_hosts = dict(interfaces)

    def bind(self, local: Address) -> None:
        """Have what a subflow sends from here leave by its endpoint's interface, if it has one."""
        interface = self._bound_hosts.get(local.host)
        if interface:
            self._bound[local] = interface

    def unbind(self, local: Address) -> None:
        """Forget a subflow that may be bound to an interface."""
        self._bound.pop(local, None)

    def path(self, local: Address, destination: str) -> Path | None:
        """Return the way of packets, or ``None`` while the kernel resolves the neighbour.

        :raises OSError: there is no route, no such local address, or no answer from the neighbour.
        """
        source, bound = local.host, self._bound.get(local, 0)
        known = self._paths.get((source, destination, bound))
        if known is not None:
            return known
        route = rtnetlink.find_route(self._netlink, source, destination, bound)
        interface = self._interfaces.get(route.interface)
        if interface is None:
            raise OSError(errno.ENODEV, "the route's interface carries no IP packets")
        mac = self._mac(interface, route.next_hop)
        if mac is None:
            return None
        if len(self._paths) >= _MOST_PATHS:
            self._paths.clear()
        path = Path(
            interface=interface,
            header=_header(interface, mac, destination),
            mtu=min(route.mtu or interface.mtu, interface.mtu),
        )
        self._paths[source, destination, bound] = path
        return path

    def handle_events(self) -> None:
        """Take what the kernel reports."""
        changed = resolved = False
        for report in self._monitor.reports():
            kind, body = report or (None, b"")
            if kind in _NEIGHBOUR:
                self._note(body, gone=kind == _DELNEIGH)
                resolved = True
            else:
                changed = changed or kind not in _ROUTES
        self._paths.clear()
        if changed:
            change = self._read_tables()
            if change:
                self._on_addresses(change)
        if changed or resolved:
            self._on_neighbour()

    def _note(self, body: bytes, *, gone: bool) -> None:
        neighbour = rtnetlink.read_neighbour(body)
        if neighbour is None:
            return
        key = neighbour.interface, neighbour.host
        if gone:
            self._neighbours.pop(key, None)
        else:
            self._neighbours[key] = neighbour
        if neighbour.failed and key in self._asked:
            self._failed.add(key)
        if gone or neighbour.failed or (neighbour.mac is not None and not neighbour.stale):
            self._asked.discard(key)

    def _mac(self, interface: Interface, host: str) -> bytes | None:
        if not interface.resolves:
            return bytes(6)
        key = interface.index, host
        neighbour = self._neighbours.get(key)
        if neighbour is not None and neighbour.mac is not None:
            if neighbour.stale:
                # A neighbour may be used without being confirmed.
                with contextlib.suppress(OSError):
                    self._ask(key)
            return neighbour.mac
        if key in self._failed:
            self._failed.discard(key)
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        self._ask(key)
        return None

    def _ask(self, key: Key) -> None:
        """Let the kernel resolve or confirm a neighbour. The result is an event."""
        if key not in self._asked:
            self._asked.add(key)
            (error,) = self._netlink.request([rtnetlink.use_neighbour(*key)])
            if error is not None:
                raise OSError(error.number, str(error))

    def _read_tables(self) -> Change:
        netlink = self._netlink
        before, were_running = self.addresses, self._running
        self._interfaces = rtnetlink.read_interfaces(netlink)
        self._neighbours = {
            (each.interface, each.host): each for each in rtnetlink.read_neighbours(netlink)
        }
        running = {index for index, each in self._interfaces.items() if each.running}
        found = tuple(rtnetlink.read_addresses(netlink))
        self.addresses = frozenset(host for _, host in found)
        self._running = frozenset(host for index, host in found if index in running)
        return Change.between(
            {host: host in were_running for host in before},
            {host: host in self._running for host in self.addresses},
        )


def _header(interface: Interface, mac: bytes, destination: str) -> bytes:
    if not interface.framed:
        return b""
    return mac + interface.mac + _ETHERTYPES[rtnetlink.family_of(destination)]
