"""Classic BPF programs for seccomp(2), with labels instead of jump offsets (linux/filter.h)."""

from __future__ import annotations

import struct
from typing import Final

_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45  # BPF_JMP with BPF_JEQ, BPF_JGE, BPF_JSET
_RETURN: Final = 0x06
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k
_FARTHEST: Final = 255  # instructions: a jump offset is one octet


class Assembler:
    """Collects instructions. Jumps go forward, to labels."""

    def __init__(self) -> None:
        self._code: list[tuple[int, str | None, int]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        """Load the word at an offset of ``struct seccomp_data``."""
        self._code.append((_LOAD_WORD, None, offset))

    def mask(self, value: int) -> None:
        """Clear all bits of the loaded word except those of a mask."""
        self._code.append((_AND, None, value))

    def if_equal(self, value: int, label: str) -> None:
        """Jump if the loaded word equals a value."""
        self._code.append((_EQUAL, label, value))

    def if_at_least(self, value: int, label: str) -> None:
        """Jump if the loaded word is at least a value."""
        self._code.append((_AT_LEAST, label, value))

    def if_any_bit(self, value: int, label: str) -> None:
        """Jump if the loaded word has any bit of a mask."""
        self._code.append((_ANY_BIT, label, value))

    def label(self, name: str) -> None:
        """Define a label for the next instruction."""
        self._labels[name] = len(self._code)

    def give(self, value: int) -> None:
        """Add an instruction that returns a value."""
        self._code.append((_RETURN, None, value))

    def assemble(self) -> bytes:
        """Return the program.

        :raises ValueError: a label is too far away, or not ahead of a jump to it.
        """
        return b"".join(
            _INSTRUCTION.pack(code, self._distance(at, label), 0, value)
            for at, (code, label, value) in enumerate(self._code)
        )

    def _distance(self, at: int, label: str | None) -> int:
        if label is None:
            return 0
        distance = self._labels[label] - at - 1
        if not 0 <= distance <= _FARTHEST:
            raise ValueError(f"the label {label!r} is {distance} instructions away")
        return distance
