"""The encoding of frames, and the effects of a wire on them."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from testbed.driver.device import Packet
from testbed.errors import PacketError
from testbed.packet import codec
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import CE, NOT_ECT, Segment
from testbed.sim.frame import Frame
from testbed.sim.icmp import emit_icmp, icmp_length
from testbed.wire.netem import ETHERNET_HEADER

_SOURCE_MAC: Final = range(6, 12)  # octets of the Ethernet header that no receiver checks


def mac_octets(mac: str) -> bytes:
    """Return the 6 octets of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def size_of(packet: Packet) -> int:
    """Return the size of the Ethernet frame of a packet in octets."""
    if isinstance(packet, IcmpError):
        return ETHERNET_HEADER + icmp_length(packet)
    return ETHERNET_HEADER + codec.header_length(packet) + len(packet.payload)


def octets_of(frame: Frame) -> bytes:
    """Return the octets of a frame."""
    if frame.broken is not None:
        return frame.broken
    packet = frame.packet
    if isinstance(packet, Segment):
        return frame.ethernet + codec.emit(packet)
    return frame.ethernet + emit_icmp(packet, frame.source)


class Frames:
    """Copies and corrupts for :class:`testbed.wire.model.LinkModel`."""

    def copy(self, handle: Frame) -> Frame:
        """Return the frame itself: it never changes."""
        return handle

    def drop(self, handle: Frame) -> None:
        """Do nothing."""

    def mark(self, handle: Frame) -> Frame | None:
        """Set CE (RFC 3168, section 5) if the packet is ECN-capable."""
        packet = handle.packet
        if not isinstance(packet, Segment) or packet.ecn == NOT_ECT or handle.broken is not None:
            return None
        if packet.ecn == CE:
            return handle
        return msgspec.structs.replace(handle, packet=msgspec.structs.replace(packet, ecn=CE))

    def flow(self, handle: Frame) -> int:
        """Return a hash of the addresses and ports."""
        packet = handle.packet
        ends = (packet.source, packet.destination) if isinstance(packet, Segment) else ()
        return zlib.crc32(repr((handle.source, handle.destination, ends)).encode())

    def corrupt(self, handle: Frame, chance: float) -> Frame:
        """Invert one bit of the frame.

        The receiver gets the changed values if all checksums are still right.
        """
        octets = bytearray(octets_of(handle))
        at, bit = divmod(int(chance * 8 * len(octets)), 8)
        octets[at] ^= 1 << bit
        packet = handle.packet
        if at in _SOURCE_MAC:
            return msgspec.structs.replace(handle, ethernet=bytes(octets[:ETHERNET_HEADER]))
        if at >= ETHERNET_HEADER and isinstance(packet, Segment) and handle.broken is None:
            try:  # in IPv6 a bit of the traffic class, flow label or hop limit breaks nothing
                seen = codec.parse(bytes(octets[ETHERNET_HEADER:]))
            except PacketError:
                pass
            else:
                return msgspec.structs.replace(handle, packet=seen)
        return msgspec.structs.replace(handle, broken=bytes(octets))
