"""The frames of simulated links."""

from __future__ import annotations

import msgspec

from testbed.driver.device import Packet
from testbed.packet.segment import HOP_LIMIT


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A packet in an Ethernet frame.

    Packets are values, not octets: encoding and parsing would be most of the work.

    :param size: the size in octets, including the Ethernet header.
    :param source: the source address of the IP header. ``destination`` is its destination.
    :param ethernet: the 14 octets of the Ethernet header.
    :param hops: the rest of its hop limit.
    :param broken: its octets, if it is damaged so that a receiver's checks fail.
    """

    packet: Packet
    size: int
    source: str
    destination: str
    ethernet: bytes
    hops: int = HOP_LIMIT
    broken: bytes | None = None
