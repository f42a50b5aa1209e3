"""Packet captures in pcapng (draft-ietf-opsawg-pcapng, sections 3.2 and 4)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from testbed.sim.frame import Frame, octets_of

_SECTION: Final = 0x0A0D0D0A  # block types
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_ETHERNET: Final = 1  # LINKTYPE_ETHERNET
_NAME, _MAC, _RESOLUTION = 2, 6, 9  # options: if_name, if_MACaddr, if_tsresol
_NANOSECONDS: Final = 9  # 10**-9 s


class Capture:
    """The frames an interface sends and receives, in a file of its own.

    :param mac: of the interface: 6 octets.
    """

    def __init__(self, path: Path, interface: str, mac: bytes) -> None:
        self._file = path.open("wb")
        self.frames = 0
        # The section's length is not given (-1), as it is not known yet.
        self._block(_SECTION, struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1))
        options = (
            _option(_NAME, interface.encode())
            + _option(_MAC, mac)
            + _option(_RESOLUTION, bytes((_NANOSECONDS,)))
            + _option(0, b"")
        )
        self._block(_INTERFACE, struct.pack("=HHI", _ETHERNET, 0, 0) + options)

    def record(self, frame: Frame, now: int) -> None:
        """Record a frame at a time of the virtual clock."""
        octets = octets_of(frame)
        length = len(octets)
        head = struct.pack("=IIIII", 0, now >> 32, now & 0xFFFF_FFFF, length, length)
        self._block(_PACKET, head + octets + bytes(-length % 4))
        self.frames += 1

    def close(self) -> None:
        """Write what is not written yet."""
        self._file.close()

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("=I", len(body) + 12)
        self._file.write(struct.pack("=I", kind) + length + body + length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)
