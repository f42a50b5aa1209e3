"""What comes out of a device, before it is read."""

from __future__ import annotations

import msgspec


class Received(msgspec.Struct, frozen=True, gc=False):
    """An IP packet.

    :param packet: a view of the memory it was received into, which the next batch overwrites.
    :param verified: its TCP checksum need not be looked at: it was checked already, or the packet
        comes from this machine and has none yet.
    :param gso_size: if it was put together from pieces, the octets of a piece; else 0.
    """

    packet: memoryview
    verified: bool
    gso_size: int
