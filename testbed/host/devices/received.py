"""A received packet before it is parsed."""

from __future__ import annotations

import msgspec


class Received(msgspec.Struct, frozen=True, gc=False):
    """An IP packet.

    :param packet: a view of the receive buffer, which the next batch overwrites.
    :param verified: whether its TCP checksum needs no check: the kernel has checked it, or the
        packet comes from this machine and has none yet.
    :param gso_size: the payload size of its pieces if it was merged, else 0.
    """

    packet: memoryview
    verified: bool
    gso_size: int
