"""The kernel's interfaces as a device, by packet sockets."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from typing import Final

from testbed.host.devices.base import FrameDevice
from testbed.host.devices.network import Network
from testbed.host.devices.ports import InheritedPorts, Ports, is_heard
from testbed.host.devices.sockets import Input, PacketSink, Receiver
from testbed.packet.address import Address

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class PacketDevice(FrameDevice):
    """The interfaces of the network namespace this process is in, shared with the kernel.

    :param rng: chooses ports.
    :param kept: its ports are kept from the kernel already.
    :raises PlatformError: this process may not open packet sockets.
    """

    name = "packet"

    def __init__(self, rng: random.Random, *, kept: bool = False) -> None:
        self._receiver = Receiver()
        self._blocks: frozenset[int] = frozenset()
        self._sockets = [Input(family, self._receiver) for family in _FAMILIES]
        self._network = Network(self._addresses_changed, self._neighbour_changed)
        ports = (InheritedPorts if kept else Ports)(rng, self._listen_to)
        super().__init__(self._network, ports, self._sockets, PacketSink)
        self._hears_bare_links = False
        self._hear_bare_links()

    def refuses(self, local_host: str, remote: Address) -> bool:
        """Return whether an address belongs to the kernel of this namespace.

        The kernel accepts no IPv4 packets with its own source addresses from us, so it would not
        answer.
        """
        return (
            ":" not in local_host
            and self._network.is_local(remote.host)
            and not is_heard(remote.port)
        )

    def has_endpoint(self, host: str) -> bool:
        """Return ``True``: an address may be added later, or be translated on the path."""
        del host
        return True

    def bind_hosts(self, interfaces: Mapping[str, int]) -> None:
        """Bind what subflows from some addresses send to interfaces, given by index."""
        self._network.bind_hosts(interfaces)

    def bind(self, local: Address) -> None:
        """Have what a subflow sends from here leave by its address's interface, if it has one."""
        self._network.bind(local)

    def unbind(self, local: Address) -> None:
        """Forget a subflow that may be bound to an interface."""
        self._network.unbind(local)

    def _view_changed(self) -> None:
        super()._view_changed()
        self._hear_bare_links()

    def _listen_to(self, blocks: frozenset[int]) -> None:
        for each in self._sockets:
            each.listen_to(blocks)
        self._blocks = blocks

    def _hear_bare_links(self) -> None:
        """Open additional sockets once there are links without a header."""
        if self._hears_bare_links or not self._network.has_bare_links:
            return
        self._hears_bare_links = True
        for family in _FAMILIES:
            source = Input(family, self._receiver, framed=False)
            source.listen_to(self._blocks)
            self._sockets.append(source)
            self._add_input(source)
