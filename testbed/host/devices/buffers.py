"""The memory for received frames. Each batch overwrites it."""

from __future__ import annotations

import ctypes
import mmap
from typing import Final

from testbed.host.devices import frames
from testbed.libc import BATCH

_STRIDE: Final = -(-frames.LARGEST // mmap.PAGESIZE) * mmap.PAGESIZE


class Buffers:
    """Memory for a batch of the largest frames. Untouched pages cost nothing.

    :ivar slots: one view for each frame.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, BATCH * _STRIDE)
        whole = memoryview(self._memory)
        self.slots = [whole[at * _STRIDE :][: frames.LARGEST] for at in range(BATCH)]

    def addresses(self) -> list[int]:
        """Return the address of each slot."""
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        return [base + at * _STRIDE for at in range(BATCH)]
