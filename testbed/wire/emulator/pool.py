"""The memory for frames between arrival and departure.

A slot holds one frame of a packet socket: a ``struct virtio_net_hdr`` and the Ethernet frame, up to
a full 64 KiB segment. The ``struct iovec`` for system calls precedes it, and its address is the
handle of the frame.

All slots are in one reservation of address space. Only touched pages cost memory, and the slot
freed last is used first, so the memory is that of the largest number of frames ever held.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import struct
from typing import Final

from testbed.wire.emulator import headers

VNET_HEADER: Final = 10  # octets, struct virtio_net_hdr
CAPACITY: Final = VNET_HEADER + 14 + 4 + 65536  # the largest frame: Ethernet, VLAN, IP

_IOVEC: Final = 16  # octets: base and length
# Slots are this far apart: not a multiple of a page, or all would compete for the same cache lines.
_STRIDE: Final = 68 * 1024 + 64
_RESERVATION: Final = 2**35  # octets of address space, for some 490,000 frames
_SMALLEST: Final = 2**24
_WORD: Final = 8
_MAP_NORESERVE: Final = 0x4000  # asm-generic; Python knows it from 3.13
_NEEDS_CHECKSUM: Final = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM
_NOTHING_LEFT: Final = bytes(VNET_HEADER)  # a header that leaves no work to the hardware


class Pool:
    """The slots for frames, and the owner of the frames of :class:`LinkModel`.

    :param octets: the address space to reserve, or less if the system does not allow it.
    """

    def __init__(self, octets: int = _RESERVATION) -> None:
        self._memory = _reserve(octets)
        self._anchor = ctypes.c_char.from_buffer(self._memory)
        self._base = ctypes.addressof(self._anchor)
        self._octets = memoryview(self._memory)
        self._words = self._octets.cast("Q")
        self._free: list[int] = []
        self._unused = self._base  # slots from here on were never used
        self._end = self._base + len(self._memory) // _STRIDE * _STRIDE

    def take(self, count: int) -> list[int]:
        """Take up to ``count`` empty slots, fewer if memory is exhausted."""
        free = self._free
        missing = count - len(free)
        if missing > 0:
            self._extend(missing)
        taken = free[-count:]
        del free[-count:]
        return taken

    def give_back(self, handles: list[int]) -> None:
        """Free slots."""
        self._free += handles

    def length(self, handle: int) -> int:
        """Return the length of the frame in a slot, its virtio header included."""
        return self._words[((handle - self._base) >> 3) + 1]

    def set_lengths(self, handles: list[int], lengths: list[int]) -> None:
        """Set the lengths of the frames in slots."""
        words, base = self._words, self._base
        for handle, length in zip(handles, lengths, strict=True):
            words[((handle - base) >> 3) + 1] = length

    def set_empty(self, handles: list[int]) -> None:
        """Prepare slots for receiving."""
        self.set_lengths(handles, [CAPACITY] * len(handles))

    def frame(self, handle: int) -> memoryview:
        """Return the octets of a frame in its slot, its virtio header first."""
        return self._frame(handle, self.length(handle))

    def put(self, frame: bytes) -> int | None:
        """Return a slot with an Ethernet frame; ``None`` if memory is exhausted."""
        if not self._free:
            self._extend(1)
            if not self._free:
                return None
        handle = self._free.pop()
        length = VNET_HEADER + len(frame)
        self._words[((handle - self._base) >> 3) + 1] = length
        self._frame(handle, length)[:] = _NOTHING_LEFT + frame
        return handle

    # The methods of model.Frames.

    def copy(self, handle: int) -> int | None:
        """Return a slot with a copy of the frame; ``None`` if memory is exhausted."""
        taken = self.take(1)
        if not taken:
            return None
        length = self.length(handle)
        self.set_lengths(taken, [length])
        self._frame(taken[0], length)[:] = self._frame(handle, length)
        return taken[0]

    def corrupt(self, handle: int, chance: float) -> int:
        """Invert one bit of the frame.

        As in netem, a checksum left to the hardware is completed first. Otherwise the receiver
        could not detect the damage.
        """
        frame = self._frame(handle, self.length(handle))
        complete_checksum(frame)
        bit = int(chance * 8 * (len(frame) - VNET_HEADER))
        frame[VNET_HEADER + bit // 8] ^= 1 << bit % 8
        return handle

    def drop(self, handle: int) -> None:
        """Free one slot."""
        self._free.append(handle)

    def mark(self, handle: int) -> int | None:
        """Set CE in the IP header of the frame, if it is ECN-capable."""
        return handle if headers.set_ce(self._ethernet(handle)) else None

    def flow(self, handle: int) -> int:
        """Return a number that is the same for all packets of a flow."""
        return headers.flow(self._ethernet(handle))

    def _ethernet(self, handle: int) -> memoryview:
        return self._frame(handle, self.length(handle))[VNET_HEADER:]

    def _frame(self, handle: int, length: int) -> memoryview:
        start = handle - self._base + _IOVEC
        return self._octets[start : start + length]

    def _extend(self, count: int) -> None:
        end = min(self._end, self._unused + count * _STRIDE)
        for handle in range(self._unused, end, _STRIDE):
            self._words[(handle - self._base) // _WORD] = handle + _IOVEC
            self._free.append(handle)
        self._unused = end


def complete_checksum(frame: memoryview) -> None:
    """Compute the checksum that the virtio header leaves to the hardware, in place (RFC 1071)."""
    flags, _, _, _, start, offset = struct.unpack_from("=BBHHHH", frame)
    if flags & _NEEDS_CHECKSUM:
        covered = bytes(frame[VNET_HEADER + start :])
        covered += b"\0" * (len(covered) % 2)
        total = sum(struct.unpack(f"!{len(covered) // 2}H", covered))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        # A UDP checksum of 0 would mean "none" (RFC 768); for TCP both mean the same.
        struct.pack_into("!H", frame, VNET_HEADER + start + offset, ~total & 0xFFFF or 0xFFFF)
        frame[:VNET_HEADER] = bytes(VNET_HEADER)


def _reserve(octets: int) -> mmap.mmap:
    size = octets
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    while True:
        try:
            memory = mmap.mmap(-1, size, flags=flags)
        except OSError:  # a limit on address space or strict overcommit
            if size <= _SMALLEST:
                raise
            size //= 2
        else:
            # Huge pages would turn each frame into 2 MiB of memory.
            with contextlib.suppress(OSError):  # a kernel without them
                memory.madvise(mmap.MADV_NOHUGEPAGE)
            return memory
