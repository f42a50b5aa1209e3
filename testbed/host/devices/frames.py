"""The headers before IP packets: the virtio header, and the link header if there is one.

With PACKET_VNET_HDR (packet sockets) and IFF_VNET_HDR (TUN) each frame starts with a ``struct
virtio_net_hdr`` (linux/virtio_net.h). It leaves checksums and segmentation to the kernel in both
directions.
"""

from __future__ import annotations

import struct
from typing import Final

from testbed.host.devices.received import Received

VNET_HEADER: Final = 10  # octets
ETHERNET_HEADER: Final = 14
LARGEST: Final = VNET_HEADER + ETHERNET_HEADER + 4 + 65_536 + 40  # with VLAN tag, any IP packet

_HEADER: Final = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum start, offset
_NEEDS_CSUM: Final = 1  # VIRTIO_NET_HDR_F_*
_DATA_VALID: Final = 2
_GSO_NONE, _GSO_TCPV4, _GSO_TCPV6, _GSO_ECN = 0, 1, 4, 0x80
_TCP_CHECKSUM: Final = 16  # its offset in the TCP header
_TCP_OFFSET: Final = 12
_TCP_FLAGS: Final = 13
_CWR: Final = 0x80


def head(link: bytes, packet: bytes, gso_size: int) -> bytes:
    """Return the headers for a TCP packet whose checksum covers only the pseudo-header.

    :param link: the header of the link: 14 octets of Ethernet, or none.
    :param packet: the packet, or only its headers.
    :param gso_size: the payload of each segment that the kernel creates from it; 0 for no
        segmentation.
    """
    six = packet[0] >> 4 == 6
    ip = 40 if six else 20
    start = len(link) + ip
    if not gso_size:
        return _HEADER.pack(_NEEDS_CSUM, _GSO_NONE, 0, 0, start, _TCP_CHECKSUM) + link
    kind = _GSO_TCPV6 if six else _GSO_TCPV4
    if packet[ip + _TCP_FLAGS] & _CWR:
        kind |= _GSO_ECN
    length = start + (packet[ip + _TCP_OFFSET] >> 4) * 4
    return _HEADER.pack(_NEEDS_CSUM, kind, length, gso_size, start, _TCP_CHECKSUM) + link


def unpack(frame: memoryview, link: int = ETHERNET_HEADER) -> Received:
    """Remove the headers of a frame. Raises ``struct.error`` if it is too short.

    :param link: the size of the link header in octets.
    """
    flags, kind, _, gso_size, _, _ = _HEADER.unpack_from(frame)
    verified = flags & (_NEEDS_CSUM | _DATA_VALID) != 0
    return Received(frame[VNET_HEADER + link :], verified, gso_size if kind else 0)
