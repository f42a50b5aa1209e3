"""The frames of simulated links."""

from __future__ import annotations

import msgspec

from testbed.driver.device import Packet
from testbed.packet.segment import HOP_LIMIT


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A packet in an Ethernet frame.

    Packets are values, not octets: encoding and reading each of them would be most of the work.

    :param size: octets, Ethernet header included.
    :param source: address of the IP header, as ``destination``.
    :param ethernet: the 14 octets of the Ethernet header.
    :param hops: what is left of its hop limit.
    :param broken: what it consists of now, if a receiver's checks fail.
    """

    packet: Packet
    size: int
    source: str
    destination: str
    ethernet: bytes
    hops: int = HOP_LIMIT
    broken: bytes | None = None
