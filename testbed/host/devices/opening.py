"""The devices of this machine, by name (:mod:`testbed.host.devices.names`)."""

from __future__ import annotations

import random

from testbed.host.devices import names
from testbed.host.devices.base import HostDevice
from testbed.host.devices.packets import PacketDevice
from testbed.host.devices.tun import TunDevice


def open_device(name: str | None) -> HostDevice:
    """Open a device inside a running event loop; ``None`` for packet sockets.

    :raises InputError: no device has the name.
    :raises PlatformError: this process may not open it.
    """
    name = names.PACKET if name is None else name
    interfaces = names.tuns(name)
    rng = random.SystemRandom()
    return TunDevice(interfaces, rng) if interfaces else PacketDevice(rng)
