"""What a device is: the place where packets of one host leave and arrive.

Packets are values here.  Octets, headers and offloads are a device's own affair: the simulator's
has none of them, one of the kernel's makes frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from testbed.packet.icmp import IcmpError
from testbed.packet.segment import Segment

Packet = Segment | IcmpError


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses that have come and gone, and those whose interfaces went down and up.

    :param silent: they are there, but their interface is down or has no carrier since now.
    :param heard: their interface is up again.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()

    @classmethod
    def between(cls, before: Mapping[str, bool], after: Mapping[str, bool]) -> Change:
        """Return what has changed of addresses; each has or has not a running interface."""
        still = sorted(before.keys() & after.keys())
        return cls(
            added=tuple(sorted(after.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - after.keys())),
            silent=tuple(host for host in still if before[host] and not after[host]),
            heard=tuple(host for host in still if after[host] and not before[host]),
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.silent or self.heard)


class Above(Protocol):
    """What a device reports to."""

    def wake(self) -> None:
        """Take that :meth:`Device.receive` has something; it is called once the caller is done."""

    def turn(self) -> None:
        """Do what :meth:`wake` asks for at once.  Only the event loop itself may call this."""

    def addresses_changed(self, change: Change) -> None:
        """Take that :attr:`Device.hosts` has changed, or which of its interfaces have a carrier."""

    def fault(self, what: str, error: Exception) -> None:
        """Take that something went wrong with one packet; the others go on."""


class Device(Protocol):
    """Carries packets, in batches both ways, in order and without ever waiting.

    What cannot be sent is lost, as packets are on a network, or comes back as an
    :class:`~testbed.packet.icmp.IcmpError`: no route, or too big for the MTU of its path.
    """

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this host."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the address to use towards another host; ``None`` if there is no way."""

    def attach(self, above: Above) -> None:
        """Begin to carry packets for a driver."""

    def receive(self) -> Sequence[Packet]:
        """Return the packets that have arrived, at once; none is not an error.

        A segment may have been put together from several packets (``gso_size``).
        """

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Send segments, of which any with a ``gso_size`` may be cut on its way.

        A fault with one of them is reported and takes nothing from the others.
        """

    def close(self) -> None:
        """Carry no more, and give back what the device holds."""


@runtime_checkable
class AddressAware(Protocol):
    """An endpoint that wants to know this host's addresses."""

    def address_added(self, host: str, now: int) -> None:
        """Take that this host can be reached at a further address."""

    def address_removed(self, host: str, now: int) -> None:
        """Take that an address is gone."""

    def carrier_lost(self, host: str, now: int) -> None:
        """Take that the interface of an address is down, or has no carrier."""

    def carrier_returned(self, host: str, now: int) -> None:
        """Take that the interface of an address is up and has a carrier again."""
