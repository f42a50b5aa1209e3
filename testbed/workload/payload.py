"""Payload that shows any octet that is wrong, missing, repeated or out of place, and costs little.

A stream is a sequence of passes over one random block of prime length, each pass starting at a
random place of it.  No two passes are alike, and there is no distance at which the stream repeats,
so a displaced piece of it changes the digest.  Passes are slices of the block: nothing is computed
per octet.

In the end both ends say how many octets there were and their CRC-32.  The CRC of a pass follows
from the CRCs of the block's beginnings, so a sender knows its digest without looking at each octet.
A receiver knows which stream its peer sends, and compares each octet with it.  A processor does
that several times faster than it computes a CRC.  While nothing differs, the digest is that of the
stream; from the first difference on it is computed from what really comes.
"""

from __future__ import annotations

import functools
import random
import zlib
from typing import Final

import msgspec

BLOCK: Final = 1_048_573  # the largest prime below 1 MiB
WORTH: Final = 256 * 1024  # octets received before it is worth making the peer's block
_STEP: Final = 16 * 1024  # octets between the beginnings of the block whose CRCs are kept
_BITS: Final = 32


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The payload in one direction, as one end saw it."""

    octets: int
    digest: str  # CRC-32 in hexadecimal


class Digest:
    """Counts and digests octets.

    Against accidents 32 bits suffice: one in four thousand million would go unnoticed.

    :param crc: CRC-32 of ``octets`` that came before.
    """

    def __init__(self, octets: int = 0, crc: int = 0) -> None:
        self._crc = crc
        self.octets = octets

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
    :ivar octets: that were taken.
    """

    def __init__(self, seed: str, session: int = 0) -> None:
        self._seed = seed
        self._session = session
        self._block: _Block | None = None  # many streams never send anything
        self._random = random.Random()
        self._start = self._position = self._end = 0  # of this pass
        self._crc = 0  # of the passes before
        self.octets = 0

    def take(self, most: int) -> memoryview:
        """Return the next octets: at least one, at most ``most``."""
        block = self._block
        if block is None or self._position == self._end:
            block = self._next_pass()
        start = self._position
        self._position = min(self._end, start + most)
        self.octets += self._position - start
        return block.twice[start : self._position]

    def skip(self, octets: int) -> Payload:
        """Take so many octets, and return the stream."""
        while octets:
            octets -= len(self.take(octets))
        return self

    def digest(self) -> Digest:
        """Return the digest of the octets that were taken."""
        if self._block is None:
            return Digest()
        part = self._block.twice[self._start : self._position]
        return Digest(self.octets, zlib.crc32(part, self._crc))

    def flow(self) -> Flow:
        """Return the count and the digest of the octets that were taken."""
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
    """Counts and digests octets that ought to be those of a stream.

    :param seed: of the stream, as :class:`Payload` takes it, and ``session``.  Of another stream,
        each octet counts in the digest all the same.
    """

    def __init__(self, seed: str, session: int = 0) -> None:
        self._which = seed, session
        self._digest = Digest()
        self._expected: Payload | None = None  # while all that has come is its beginning
        self._strange = False

    @property
    def octets(self) -> int:
        """How many have come."""
        return self._digest.octets

    def update(self, data: bytes) -> None:
        """Take in the next octets."""
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
    """Take as many octets of a stream as there are; tell whether they are these."""
    at = 0
    while at < len(data):
        wanted = stream.take(len(data) - at)
        if not data.startswith(wanted, at):  # compares octets in place
            return False
        at += len(wanted)
    return True


class _Block:
    """The block of a seed, twice in a row, and CRCs of its parts.

    :ivar state: of the generator that has made it.
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
        """CRCs of the beginnings of the block, the next always ``_STEP`` octets longer."""
        found = [0]
        for start in range(0, len(self.twice) - _STEP, _STEP):
            found.append(zlib.crc32(self.twice[start : start + _STEP], found[-1]))
        return found


@functools.lru_cache(maxsize=4)
def _block(seed: str) -> _Block:
    return _Block(seed)


def _after(crc: int) -> int:
    """Return what a CRC contributes to that of the same octets and a pass after them.

    The CRC of A and then B is a linear function of that of A, which depends on the length of B
    alone, plus (exclusive or) the CRC of B.
    """
    return _applied(_pass_columns(), crc)


def _applied(columns: list[int], vector: int) -> int:
    """Return a matrix of bits times a vector of bits."""
    found = 0
    for bit, column in enumerate(columns):
        if vector >> bit & 1:
            found ^= column
    return found


@functools.cache
def _pass_columns() -> list[int]:
    """Return the matrix of that function for a pass: that for one octet, multiplied."""
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
