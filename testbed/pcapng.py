"""Packet captures in pcapng (draft-ietf-opsawg-pcapng, sections 3.2 and 4)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from testbed.sidefile import SideFile

RAW: Final = 101  # LINKTYPE_RAW: IP packets, of either version, without a link layer
ETHERNET: Final = 1  # LINKTYPE_ETHERNET

_SECTION: Final = 0x0A0D0D0A  # block types
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_NAME, _RESOLUTION, _END = 2, 9, 0  # options: if_name, if_tsresol, opt_endofopt
_NANOSECONDS: Final = 9  # 10**-9 s


class PcapngWriter:
    """A capture with one interface, in a file of its own.

    :param link_type: what packets begin with: :data:`RAW` or :data:`ETHERNET`.
    :raises InputError: the file cannot be opened.
    """

    def __init__(self, path: Path, interface: str, link_type: int) -> None:
        self._file = SideFile(path)
        # The section's length is not given (-1), as it is not known yet.
        self._block(_SECTION, struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1))
        options = (
            _option(_NAME, interface.encode())
            + _option(_RESOLUTION, bytes((_NANOSECONDS,)))
            + _option(_END, b"")
        )
        self._block(_INTERFACE, struct.pack("=HHI", link_type, 0, 0) + options)

    def record(self, packet: bytes, time_ns: int) -> None:
        """Record a packet at a time since the epoch."""
        length = len(packet)
        head = struct.pack("=IIIII", 0, time_ns >> 32, time_ns & 0xFFFF_FFFF, length, length)
        self._block(_PACKET, head + packet + bytes(-length % 4))

    def close(self) -> None:
        """Write what is not written yet.

        :raises StoreError: some packets could not be written.
        """
        self._file.close()

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("=I", len(body) + 12)
        self._file.write(struct.pack("=I", kind) + length + body + length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)
