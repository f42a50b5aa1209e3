"""Hosts whose packets never leave the process: devices in memory on the clock of an event loop."""

from __future__ import annotations

import random
from collections.abc import Mapping

from testbed.driver.memory import MemoryDevice
from testbed.host.devices.ports import OwnPorts
from testbed.packet.address import Address
from testbed.packet.segment import Segment


class InMemory(MemoryDevice):
    """A device for a :class:`testbed.host.driver.Host`; alone, it brings back what it sends."""

    name = "memory"

    def __init__(self, *hosts: str) -> None:
        super().__init__(hosts, self._carry)
        self.ports = OwnPorts(random.Random(8684))
        self.peer = self
        self.closed = False

    def is_local(self, host: str) -> bool:
        return host in self.hosts

    def has_endpoint(self, host: str) -> bool:
        return self.is_local(host)

    def refuses(self, local_host: str, remote: Address) -> bool:
        return False

    def bind_hosts(self, interfaces: Mapping[str, int]) -> None:
        pass

    def bind(self, local: Address) -> None:
        pass

    def unbind(self, local: Address) -> None:
        pass

    def close(self) -> None:
        super().close()
        self.closed = True

    def _carry(self, segment: Segment, now: int) -> None:
        self.peer.deliver(segment)


def cable(*ends: InMemory) -> None:
    """Join two devices."""
    ends[0].peer, ends[1].peer = ends[1], ends[0]
