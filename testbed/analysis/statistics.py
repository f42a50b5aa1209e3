"""Means, and how sure one can be of them.

Every interval is a bootstrap interval: the repetitions are drawn again and again, with replacement,
and the spread of the statistic says how far it may be from the truth.  No shape of the distribution
is assumed, which suits goodputs: they are skewed and bounded.

A bootstrap interval of a handful of repetitions is too narrow: a sample's spread is too small by a
factor, and the normal distribution stands for Student's.  So its percentiles are moved outwards by
both: the *expanded percentile interval* of T. Hesterberg, "What Teachers
Should Know About the Bootstrap", The American Statistician 69 (2015), section 4.2.

numpy draws.  ``scipy.stats.bootstrap`` does not know this interval, and importing it takes longer
than reading and comparing two folders of a hundred runs.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 9999
_SMALL: Final = 100  # values in a sample; their resamples are kept
_AT_A_TIME: Final = 1_000_000  # values of larger ones
_SEED: Final = 1  # the same results give the same interval, today and from the folder next year


class Interval(msgspec.Struct, frozen=True):
    """The bounds between which the value lies with 95 % confidence."""

    low: float
    high: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A sample in brief; no interval for a single value, which shows no spread."""

    n: int
    mean: float
    median: float
    interval: Interval | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over the sum of other means."""

    value: float
    interval: Interval | None


def estimate(values: Sequence[float]) -> Estimate:
    """Sum up one sample of at least one value."""
    return Estimate(
        n=len(values),
        mean=statistics.fmean(values),
        median=statistics.median(values),
        interval=ratio(values, ()).interval,
    )


def quantile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest of the sorted values that at least ``percent`` do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def ratio(numerator: Sequence[float], denominators: Sequence[Sequence[float]]) -> Ratio:
    """Return the mean of ``numerator`` over the sum of the means of ``denominators``.

    The samples are independent of one another; without denominators it is the mean itself.

    :raises ZeroDivisionError: the denominators' means add up to 0.
    """
    below = sum(statistics.fmean(sample) for sample in denominators) if denominators else 1.0
    value = statistics.fmean(numerator) / below

    def bounds() -> Interval:
        first, *others = _resampled([numerator, *denominators])
        return _interval(first / sum(others) if others else first, [numerator, *denominators])

    return Ratio(value=value, interval=_bounded(value, [numerator, *denominators], bounds))


def difference(new: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the mean of ``new`` less that of ``base``, in their unit; they are independent."""
    value = statistics.fmean(new) - statistics.fmean(base)

    def bounds() -> Interval:
        first, second = _resampled([new, base])
        return _interval(first - second, [new, base])

    return Ratio(value=value, interval=_bounded(value, [new, base], bounds))


def student(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution.

    :param freedom: degrees of freedom, of which there may be a fraction.
    """
    # Imported here: no command but those that compare pays for it.
    from scipy.special import stdtrit  # noqa: PLC0415

    return float(stdtrit(freedom, probability))


def _bounded(value: float, samples: Sequence[Sequence[float]], bounds: Any) -> Interval | None:
    if any(len(sample) < 2 for sample in samples):
        return None
    if all(min(sample) == max(sample) for sample in samples):
        return Interval(value, value)
    found: Interval = bounds()
    return found


def _resampled(samples: Sequence[Sequence[float]]) -> list[Any]:
    """Return, for each sample, the means of its resamples."""
    import numpy as np  # noqa: PLC0415

    return [
        np.concatenate(
            [weights @ np.asarray(sample, dtype=float) for weights in _weights(len(sample), place)]
        )
        for place, sample in enumerate(samples)
    ]


def _weights(size: int, place: int) -> Iterable[Any]:
    """Return what part each value has in each resample: the same for all samples of a size.

    :param place: of a sample among others, of which it is independent.
    """
    return _kept(size, place) if size <= _SMALL else _drawn(size, place)


@functools.lru_cache(maxsize=32)
def _kept(size: int, place: int) -> tuple[Any, ...]:
    return tuple(_drawn(size, place))


def _drawn(size: int, place: int) -> Iterator[Any]:
    import numpy as np  # noqa: PLC0415

    generator = np.random.default_rng([_SEED, size, place])
    step = max(1, _AT_A_TIME // size)
    for first in range(0, _RESAMPLES, step):
        rows = min(step, _RESAMPLES - first)
        drawn = generator.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size) / size


def _interval(statistic: Any, samples: Sequence[Sequence[float]]) -> Interval:
    import numpy as np  # noqa: PLC0415

    tail = _tail(min(len(sample) for sample in samples))
    left_out = int(tail * len(statistic))
    bounds = [left_out, len(statistic) - 1 - left_out]
    low, high = np.partition(statistic, bounds)[bounds]
    return Interval(float(low), float(high))


@functools.cache
def _tail(size: int) -> float:
    """Return the share of resamples to leave out at each end, for samples of this size."""
    spread = math.sqrt(size / (size - 1)) * student((1 - CONFIDENCE) / 2, size - 1)
    return statistics.NormalDist().cdf(spread)
