"""The interface of devices, by which a host sends and receives packets.

Packets are values here. Octets, headers and offloads are internal to a device: the simulator's
device has none of them, those of the kernel create frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from testbed.packet.icmp import IcmpError
from testbed.packet.segment import Segment

Packet = Segment | IcmpError


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Added and removed addresses, and those whose interfaces went down or up.

    :param silent: addresses whose interface went down or lost its carrier.
    :param heard: addresses whose interface is up again.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()

    @classmethod
    def between(cls, before: Mapping[str, bool], after: Mapping[str, bool]) -> Change:
        """Return the changes of addresses. The values say whether the interface is running."""
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
    """The receiver of a device's reports."""

    def wake(self) -> None:
        """Schedule a call of :meth:`Device.receive`, which has something."""

    def turn(self) -> None:
        """Call :meth:`Device.receive` at once. Only the event loop itself may call this."""

    def addresses_changed(self, change: Change) -> None:
        """Process a change of :attr:`Device.hosts`, or of the carriers of their interfaces."""

    def fault(self, what: str, error: Exception) -> None:
        """Report an exception with one packet. The others are not affected."""


class Device(Protocol):
    """Carries packets in both directions, in batches, in order and without blocking.

    A packet that cannot be sent is lost, as on a network, or returns as an
    :class:`~testbed.packet.icmp.IcmpError`: no route, or larger than the path MTU.
    """

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses by which others may reach this host."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""

    def attach(self, above: Above) -> None:
        """Start to carry packets for a driver."""

    def receive(self) -> Sequence[Packet]:
        """Return the packets that have arrived, possibly none, without blocking.

        A segment may be merged from several packets (``gso_size``).
        """

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Send segments. Those with a ``gso_size`` may be segmented on the way.

        A fault with one of them is reported and does not affect the others.
        """

    def close(self) -> None:
        """Stop, and release the resources of the device."""


@runtime_checkable
class AddressAware(Protocol):
    """An endpoint that is informed of this host's addresses."""

    def address_added(self, host: str, now: int) -> None:
        """Process a new address of this host."""

    def address_removed(self, host: str, now: int) -> None:
        """Process the removal of an address."""

    def carrier_lost(self, host: str, now: int) -> None:
        """Process the loss of the carrier of an address's interface."""

    def carrier_returned(self, host: str, now: int) -> None:
        """Process the return of the carrier of an address's interface."""
