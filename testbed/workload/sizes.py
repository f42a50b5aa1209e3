"""Distributions of sizes and arrival times, which a seed makes reproducible."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Annotated, Final

import msgspec

from testbed.errors import InputError
from testbed.units import parse_size, parse_time

Quantity = str | int  # "20MB", "5s", "10mbit", or a bare number where tc allows one
MAX_SESSIONS: Final = 10_000  # transfers of one flow: each has two ends in memory
MAX_REQUESTS: Final = 100_000  # requests of one flow: each is a line in a job
_S: Final = 1_000_000_000


class Lognormal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lognormal distribution of sizes.

    :param median: the median in octets.
    :param sigma: the standard deviation of the natural logarithm.
    """

    median: Quantity
    sigma: Annotated[float, msgspec.Meta(ge=0, le=4)]


class Sizes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A distribution of sizes in octets. Exactly one field is set.

    :param uniform: the smallest and the largest size. All sizes in between are equally likely.
    :param shares: sizes, each with its share of the transfers. The shares are positive weights.
    """

    uniform: tuple[Quantity, Quantity] | None = None
    lognormal: Lognormal | None = None
    shares: Annotated[dict[str, float], msgspec.Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"sizes need exactly one of {', '.join(self.__struct_fields__)}")
        if self.shares is not None and any(share <= 0 for share in self.shares.values()):
            raise ValueError("`shares` must be more than 0")
        if self.uniform is not None and octets(self.uniform[0]) > octets(self.uniform[1]):
            raise ValueError("`uniform` must go from the smaller size to the larger one")
        for size in self.shares or ():
            octets(size)  # a draw parses only one of them
        self.draw(random.Random(0))

    def draw(self, rng: random.Random) -> int:
        """Draw a size in octets, at least 1."""
        if self.uniform is not None:
            low, high = map(octets, self.uniform)
            return rng.randint(low, high)
        if self.lognormal is not None:
            spread = math.exp(rng.gauss(0.0, self.lognormal.sigma))
            return max(1, round(octets(self.lognormal.median) * spread))
        shares = self.shares or {}
        return octets(rng.choices([*shares], weights=[*shares.values()])[0])


class Arrivals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The start times of transfers or requests: at equal intervals, or as a Poisson process.

    :param every: the time between two starts.
    :param poisson: the average number of starts per second.
    :param number: the number of starts; by default all before the flow stops.
    """

    every: Quantity | None = None
    poisson: Annotated[float, msgspec.Meta(ge=1e-6, le=10_000)] | None = None
    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_REQUESTS)] | None = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.poisson is None):
            raise ValueError("give either `every` or `poisson`")
        _ = self._every_ns

    @property
    def _every_ns(self) -> int:
        return 0 if self.every is None else positive_time("every", self.every)

    def starts_ns(self, start_ns: int, stop_ns: int | None, seed: int, most: int) -> list[int]:
        """Return the times of :meth:`times_ns` for a seed.

        :raises ValueError: there are more than ``most``.
        """
        times = self.times_ns(start_ns, stop_ns, random.Random(f"{seed} arrivals"))
        starts = list(itertools.islice(times, most + 1))
        if len(starts) > most:
            raise ValueError(f"there are more than {most} arrivals, which is the maximum")
        return starts

    def times_ns(self, start_ns: int, stop_ns: int | None, rng: random.Random) -> Iterator[int]:
        """Yield the start times, from ``start_ns`` on and before ``stop_ns``.

        In a Poisson process the first start is also after a random time.
        """
        at_ns = start_ns + self._gap_ns(rng) * (self.poisson is not None)
        index = 0
        while (self.number is None or index < self.number) and (stop_ns is None or at_ns < stop_ns):
            yield at_ns
            index += 1
            at_ns += self._gap_ns(rng)

    def _gap_ns(self, rng: random.Random) -> int:
        if self.poisson is None:
            return self._every_ns
        return round(rng.expovariate(self.poisson) * _S)


def octets(quantity: Quantity) -> int:
    """Return a size in octets.  Raises ValueError."""
    return parsed(parse_size, "size", quantity)


def positive_time(name: str, quantity: Quantity, *, zero: bool = False) -> int:
    """Return a time in nanoseconds. Raises a ValueError that names the field."""
    return parsed(parse_time, name, quantity, zero=zero)


def parsed(
    parse: Callable[[str], int], name: str, quantity: Quantity, *, zero: bool = False
) -> int:
    """Return a quantity as a number. Raises a ValueError that names the field.

    :param zero: whether 0 is allowed.
    """
    try:
        value = parse(str(quantity))
    except InputError as error:
        raise ValueError(f"`{name}`: {error}") from error
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"`{name}` must be more than 0")
    return value
