"""Payload that reveals wrong, missing, repeated or displaced octets at low cost.

A stream is a sequence of passes over one random block of prime length, each pass starting at a
random place of it. No two passes are equal, and the stream has no period, so a displaced piece of
it changes the digest. Passes are slices of the block, so nothing is computed per octet.

At the end both ends report the number of octets and their CRC-32. The CRC of a pass follows from
the CRCs of the block's prefixes, so a sender computes its digest without reading each octet. A
receiver knows the stream that its peer sends, and compares each octet with it. A comparison is
several times faster than a CRC. While nothing differs, the digest is that of the stream. From the
first difference on, the digest is computed from the received octets.
"""

from __future__ import annotations

import functools
import random
import zlib
from typing import Final

import msgspec

BLOCK: Final = 1_048_573  # the largest prime below 1 MiB
WORTH: Final = 256 * 1024  # received octets from which the peer's block is worth its cost
_STEP: Final = 16 * 1024  # the step in length of the prefixes of the block whose CRCs are kept
_BITS: Final = 32


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The payload in one direction, as one end saw it."""

    octets: int
    digest: str  # CRC-32 in hexadecimal


class Digest:
    """Counts and digests octets.

    32 bits suffice against accidental errors: one in four thousand million stays undetected.

    :param crc: the CRC-32 of the ``octets`` octets before.
    """

    def __init__(self, octets: int = 0, crc: int = 0) -> None:
        self._crc = crc
        self.octets = octets

    def update(self, data: bytes | memoryview) -> None:
        """Add the next octets."""
        self._crc = zlib.crc32(data, self._crc)
        self.octets += len(data)

    def flow(self) -> Flow:
        """Return the count and the digest of the octets so far."""
        return Flow(octets=self.octets, digest=f"{self._crc:08x}")


class Payload:
    """An endless stream of octets that depends on ``seed`` and ``session`` only.

    :param session: the number of the stream. Streams of one seed share the block, but begin their
        passes at different places.
    :ivar octets: the number of octets taken.
    """

    def __init__(self, seed: str, session: int = 0) -> None:
        self._seed = seed
        self._session = session
        self._block: _Block | None = None  # many streams never send anything
        self._random = random.Random()
        self._start = self._position = self._end = 0  # positions of the present pass
        self._crc = 0  # checksum of the passes before
        self.octets = 0

    def take(self, most: int) -> memoryview:
        """Return the next octets, at least one and at most ``most``."""
        block = self._block
        if block is None or self._position == self._end:
            block = self._next_pass()
        start = self._position
        self._position = min(self._end, start + most)
        self.octets += self._position - start
        return block.twice[start : self._position]

    def skip(self, octets: int) -> Payload:
        """Skip a number of octets, and return the stream."""
        while octets:
            octets -= len(self.take(octets))
        return self

    def digest(self) -> Digest:
        """Return the digest of the octets taken."""
        if self._block is None:
            return Digest()
        part = self._block.twice[self._start : self._position]
        return Digest(self.octets, zlib.crc32(part, self._crc))

    def flow(self) -> Flow:
        """Return the count and the digest of the octets taken."""
        return self.digest().flow()

    def _next_pass(self) -> _Block:
        block = self._block
        if block is None:
            block = self._block = _block(self._seed)
            self._random.seed(f"{self._seed} {self._session}")
            if self._session == 0:
                self._random.setstate(block.state)
        else:
            self._crc = _after(self._crc) ^ block.crc_of_pass(self._start)
        self._start = self._position = self._random.randrange(BLOCK)
        self._end = self._start + BLOCK
        return block


class Received:
    """Counts and digests octets that should be those of a stream.

    :param seed: the seed of the stream, as for :class:`Payload`; so is ``session``. The digest also
        covers the octets of a different stream.
    """

    def __init__(self, seed: str, session: int = 0) -> None:
        self._which = seed, session
        self._digest = Digest()
        self._expected: Payload | None = None  # set while no octet differs
        self._strange = False

    @property
    def octets(self) -> int:
        """The number of received octets."""
        return self._digest.octets

    def update(self, data: bytes) -> None:
        """Add the next octets."""
        if self._expected is not None:
            if _begins_with(self._expected, data):
                self._digest.octets += len(data)
                return
            self._digest = Payload(*self._which).skip(self.octets).digest()
            self._expected, self._strange = None, True
        self._digest.update(data)
        if not self._strange and self.octets >= WORTH:
            expected = Payload(*self._which).skip(self.octets)
            self._strange = expected.flow() != self._digest.flow()
            self._expected = None if self._strange else expected

    def flow(self) -> Flow:
        """Return the count and the digest of the octets so far."""
        return (self._expected or self._digest).flow()


def _begins_with(stream: Payload, data: bytes) -> bool:
    """Take as many octets of a stream as ``data`` has; return whether they are equal."""
    at = 0
    while at < len(data):
        wanted = stream.take(len(data) - at)
        if not data.startswith(wanted, at):  # compares octets in place
            return False
        at += len(wanted)
    return True


class _Block:
    """The block of a seed, twice in a row, and CRCs of its parts.

    :ivar state: the state of the generator that made the block.
    """

    def __init__(self, seed: str) -> None:
        rng = random.Random(seed)
        block = rng.randbytes(BLOCK)
        self.state = rng.getstate()
        self.twice = memoryview(block + block)

    def crc_of_pass(self, start: int) -> int:
        """Return the CRC of one pass."""
        return self._crc_up_to(start + BLOCK) ^ _after(self._crc_up_to(start))

    def _crc_up_to(self, end: int) -> int:
        step = end // _STEP
        return zlib.crc32(self.twice[step * _STEP : end], self._beginnings[step])

    @functools.cached_property
    def _beginnings(self) -> list[int]:
        """The CRCs of the prefixes of the block, in steps of ``_STEP`` octets."""
        found = [0]
        for start in range(0, len(self.twice) - _STEP, _STEP):
            found.append(zlib.crc32(self.twice[start : start + _STEP], found[-1]))
        return found


@functools.lru_cache(maxsize=4)
def _block(seed: str) -> _Block:
    return _Block(seed)


def _after(crc: int) -> int:
    """Return the contribution of a CRC to the CRC of the same octets followed by a pass.

    The CRC of A followed by B is a linear function of the CRC of A, plus (exclusive or) the CRC of
    B. The function depends only on the length of B.
    """
    return _applied(_pass_columns(), crc)


def _applied(columns: list[int], vector: int) -> int:
    """Return the product of a matrix of bits and a vector of bits."""
    found = 0
    for bit, column in enumerate(columns):
        if vector >> bit & 1:
            found ^= column
    return found


@functools.cache
def _pass_columns() -> list[int]:
    """Return the matrix of that function for a pass: a power of the matrix for one octet."""
    zero = zlib.crc32(b"\0")
    power = [zlib.crc32(b"\0", 1 << bit) ^ zero for bit in range(_BITS)]
    found = [1 << bit for bit in range(_BITS)]
    length = BLOCK
    while length:
        if length & 1:
            found = [_applied(power, column) for column in found]
        power = [_applied(power, column) for column in power]
        length >>= 1
    return found
