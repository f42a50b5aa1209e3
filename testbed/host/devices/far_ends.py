"""The addresses of a stack behind TUN interfaces: the kernel's peer addresses there."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Callable, Sequence
from typing import Final

from testbed.driver.device import Change
from testbed.host.devices import rtnetlink
from testbed.host.devices.monitor import Monitor
from testbed.host.devices.network import Path
from testbed.host.devices.rtnetlink import Interface
from testbed.netlink.transport import Netlink
from testbed.packet.address import Address

_GROUPS: Final = (1, 5, 9)  # linux/rtnetlink.h: LINK, IPV4_IFADDR, IPV6_IFADDR


class FarEnds:
    """The peer addresses of some interfaces, kept up to date.

    ``ip address add 10.9.0.1 peer 10.9.0.2 dev tun0`` gives the stack 10.9.0.2. Its packets from
    this address leave by tun0, and the kernel forwards them.

    :param interfaces: the indexes of the interfaces. Addresses of the first one come first.
    :param on_addresses: called when addresses have changed.
    """

    def __init__(self, interfaces: Sequence[int], on_addresses: Callable[[Change], None]) -> None:
        self._indexes = tuple(interfaces)
        self._on_addresses = on_addresses
        self._netlink = Netlink()
        self._monitor = Monitor(_GROUPS)
        self._interfaces: dict[int, Interface] = {}
        self._hosts: dict[str, int] = {}  # each address of the stack, and its interface
        self._near: dict[str, str] = {}  # each address of the kernel, and its peer
        self._read()

    @property
    def interfaces(self) -> frozenset[int]:
        """The interfaces that still exist."""
        return frozenset(self._interfaces)

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses that other hosts may know."""
        return tuple(self._hosts)

    def is_local(self, host: str) -> bool:
        """Tell whether packets to that address are for the stack."""
        return host in self._hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the peer of a kernel address, or the first address of the family.

        The kernel forwards packets from each of the interfaces, so the first one suffices. Running
        interfaces come before others.
        """
        if remote_host in self._near:
            return self._near[remote_host]
        six = ":" in remote_host
        found = [host for host in self._hosts if (":" in host) is six]
        return next(filter(self._runs, found), next(iter(found), None))

    def path(self, local: Address, destination: str) -> Path | None:
        """Return the interface of an address. Raises OSError if the stack does not have it."""
        del destination
        interface = self._interfaces.get(self._hosts.get(local.host, 0))
        if interface is None:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return Path(interface=interface, header=b"", mtu=interface.mtu)

    def interface_of(self, host: str) -> int | None:
        """Return the index of the interface of an address, or ``None`` if it is unknown."""
        return self._hosts.get(host)

    def fileno(self) -> int:
        """Return the descriptor that has input when something has changed."""
        return self._monitor.fileno()

    def handle_events(self) -> None:
        """Take what the kernel reports."""
        if list(self._monitor.reports()):
            change = self._read()
            if change:
                self._on_addresses(change)

    def close(self) -> None:
        """Hear no more."""
        self._netlink.close()
        self._monitor.close()

    def _runs(self, host: str) -> bool:
        interface = self._interfaces.get(self._hosts[host])
        return interface is not None and interface.running

    def _read(self) -> Change:
        before = {host: self._runs(host) for host in self._hosts}
        there = rtnetlink.read_interfaces(self._netlink)
        self._interfaces = {index: there[index] for index in self._indexes if index in there}
        peers = [one for one in rtnetlink.read_peers(self._netlink) if one[0] in self._interfaces]
        peers.sort(key=lambda one: self._indexes.index(one[0]))
        self._hosts = {peer: index for index, _, peer in peers if _is_known_beyond_the_link(peer)}
        self._near = {local: peer for _, local, peer in peers}
        return Change.between(before, {host: self._runs(host) for host in self._hosts})


def _is_known_beyond_the_link(host: str) -> bool:
    return not ipaddress.ip_address(host).is_link_local
