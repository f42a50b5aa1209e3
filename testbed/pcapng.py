"""Packet captures in pcapng (draft-ietf-opsawg-pcapng, sections 3.2 and 4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, Protocol

RAW: Final = 101  # LINKTYPE_RAW: IP packets, of either version, without a link layer
ETHERNET: Final = 1  # LINKTYPE_ETHERNET

_SECTION: Final = 0x0A0D0D0A  # block types
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_NAME, _RESOLUTION, _END = 2, 9, 0  # options: if_name, if_tsresol, opt_endofopt
_FLAGS: Final = 2  # epb_flags
_INBOUND, _OUTBOUND = 1, 2
_NANOSECONDS: Final = 9  # 10**-9 s


class Output(Protocol):
    """The file of a capture."""

    def write(self, data: bytes) -> object:
        """Write data, now or later."""

    def close(self) -> None:
        """Write the remaining data."""


class PcapngWriter:
    """A capture of one or several interfaces.

    :param output: a :class:`~testbed.sidefile.SideFile`, or a binary file.
    :param interfaces: the names of the interfaces, in the order of their numbers.
    :param link_type: the link-layer type of the packets: :data:`RAW` or :data:`ETHERNET`.
    :param snaplen: how many octets of a packet are kept; 0 means all.
    """

    def __init__(
        self, output: Output, interfaces: Sequence[str], link_type: int, snaplen: int = 0
    ) -> None:
        self._output = output
        # The length of the section is unknown yet (-1).
        self._block(_SECTION, struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1))
        for name in interfaces:
            options = (
                _option(_NAME, name.encode())
                + _option(_RESOLUTION, bytes((_NANOSECONDS,)))
                + _option(_END, b"")
            )
            self._block(_INTERFACE, struct.pack("=HHI", link_type, 0, snaplen) + options)

    def record(
        self,
        packet: bytes,
        time_ns: int,
        *,
        interface: int = 0,
        length: int | None = None,
        outgoing: bool | None = None,
    ) -> None:
        """Record a packet. The time counts from the epoch.

        :param length: the original length in octets, if only a part is kept.
        :param outgoing: whether the interface has sent the packet, not received it; None if
            unknown.
        """
        size = len(packet)
        whole = size if length is None else length
        head = struct.pack("=IIIII", interface, time_ns >> 32, time_ns & 0xFFFF_FFFF, size, whole)
        options = b"" if outgoing is None else _DIRECTIONS[outgoing]
        self._block(_PACKET, head + packet + bytes(-size % 4) + options)

    def close(self) -> None:
        """Write the remaining data.

        :raises StoreError: some packets could not be written.
        """
        self._output.close()

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("=I", len(body) + 12)
        self._output.write(struct.pack("=I", kind) + length + body + length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)


_DIRECTIONS: Final = {
    outgoing: _option(_FLAGS, struct.pack("=I", direction)) + _option(_END, b"")
    for outgoing, direction in ((False, _INBOUND), (True, _OUTBOUND))
}
