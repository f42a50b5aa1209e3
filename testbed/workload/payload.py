"""Payload that shows any octet that is wrong, missing, repeated or out of place, and costs little.

A stream is a sequence of passes over one random block of prime length, each pass starting at a
random place of it.  No two passes are alike, and there is no distance at which the stream repeats,
so a displaced piece of it changes the digest.  Passes are slices of the block: nothing is computed
per octet but the digest.
"""

from __future__ import annotations

import functools
import random
import zlib
from typing import Final

import msgspec

BLOCK: Final = 1_048_573  # the largest prime below 1 MiB


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What went one way, as one end saw it."""

    octets: int
    digest: str  # CRC-32 in hexadecimal


class Digest:
    """Counts and digests octets.

    Against accidents 32 bits suffice: one in four thousand million would go unnoticed.  A CRC costs
    half of SHA-256 where the processor has instructions for both, and a tenth where it is emulated.
    """

    def __init__(self) -> None:
        self._crc = 0
        self.octets = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next octets."""
        self._crc = zlib.crc32(data, self._crc)
        self.octets += len(data)

    def flow(self) -> Flow:
        """Return the count and the digest of the octets so far."""
        return Flow(octets=self.octets, digest=f"{self._crc:08x}")


class Payload:
    """An endless stream of octets that depends on ``seed`` and ``session`` only.

    :param session: streams of one seed share the block, and begin their passes at other places.
    """

    def __init__(self, seed: str, session: int = 0) -> None:
        self._seed = seed
        self._session = session
        self._random: random.Random | None = None
        self._twice = memoryview(b"")
        self._position = self._end = 0

    def take(self, most: int) -> memoryview:
        """Return the next octets: at least one, at most ``most``."""
        if self._random is None:  # many streams never send anything
            self._random, self._twice = _beginning(self._seed, self._session)
        if self._position == self._end:
            self._position = self._random.randrange(BLOCK)
            self._end = self._position + BLOCK
        start = self._position
        self._position = min(self._end, start + most)
        return self._twice[start : self._position]


def _beginning(seed: str, session: int) -> tuple[random.Random, memoryview]:
    """Return the places of the passes, and the block twice."""
    state, block = _block(seed)
    places = random.Random(f"{seed} {session}")
    if session == 0:
        places.setstate(state)
    return places, block


@functools.lru_cache(maxsize=4)
def _block(seed: str) -> tuple[tuple[object, ...], memoryview]:
    rng = random.Random(seed)
    block = rng.randbytes(BLOCK)
    return rng.getstate(), memoryview(block + block)
