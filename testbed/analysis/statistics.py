"""Means with confidence intervals.

Every interval is a bootstrap interval: the repetitions are resampled many times, with replacement,
and the spread of the statistic gives its uncertainty. The method assumes no shape of the
distribution. This suits goodputs, which are skewed and bounded.

A bootstrap interval of few repetitions is too narrow, for two reasons: the spread of a sample is
too small by a factor, and the normal distribution replaces Student's. So its percentiles are moved
outwards to correct both: the *expanded percentile interval* of T. Hesterberg, "What Teachers Should
Know About the Bootstrap", The American Statistician 69 (2015), section 4.2.

numpy draws the resamples. ``scipy.stats.bootstrap`` lacks this interval, and its import takes
longer than reading and comparing two folders of a hundred runs.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 9999
_SMALL: Final = 100  # the most values in a sample whose resamples are cached
_AT_A_TIME: Final = 1_000_000  # values of larger samples drawn at a time
_SEED: Final = 1  # equal results always give equal intervals


class Interval(msgspec.Struct, frozen=True):
    """The bounds of a 95 % confidence interval."""

    low: float
    high: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of a sample. A single value shows no spread, so it has no interval."""

    n: int
    mean: float
    median: float
    interval: Interval | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The ratio of a mean to the sum of other means."""

    value: float
    interval: Interval | None


def estimate(values: Sequence[float]) -> Estimate:
    """Summarise a sample of at least one value."""
    return Estimate(
        n=len(values),
        mean=statistics.fmean(values),
        median=statistics.median(values),
        interval=ratio(values, ()).interval,
    )


def quantile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest sorted value that at least ``percent`` % of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def ratio(numerator: Sequence[float], denominators: Sequence[Sequence[float]]) -> Ratio:
    """Return the mean of ``numerator`` over the sum of the means of ``denominators``.

    The samples are independent of one another. Without denominators it is the mean itself. It has
    no interval if the denominators' means may add up to 0, as resamples show.

    :raises ZeroDivisionError: the denominators' means add up to 0.
    """
    below = sum(statistics.fmean(sample) for sample in denominators) if denominators else 1.0
    value = statistics.fmean(numerator) / below

    def bounds() -> Interval | None:
        import numpy as np  # noqa: PLC0415

        first, *others = _resampled([numerator, *denominators])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = first / sum(others) if others else first
        return _interval(values, [numerator, *denominators])

    return Ratio(value=value, interval=_bounded(value, [numerator, *denominators], bounds))


def difference(new: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the mean of ``new`` minus that of ``base``, in their unit. They are independent."""
    value = statistics.fmean(new) - statistics.fmean(base)

    def bounds() -> Interval | None:
        first, second = _resampled([new, base])
        return _interval(first - second, [new, base])

    return Ratio(value=value, interval=_bounded(value, [new, base], bounds))


def student(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution.

    :param freedom: the degrees of freedom, which may be fractional.
    """
    # Imported here, as only commands that compare need it.
    from scipy.special import stdtrit  # noqa: PLC0415

    return float(stdtrit(freedom, probability))


def _bounded(
    value: float, samples: Sequence[Sequence[float]], bounds: Callable[[], Interval | None]
) -> Interval | None:
    if any(len(sample) < 2 for sample in samples):
        return None
    if all(min(sample) == max(sample) for sample in samples):
        return Interval(value, value)
    return bounds()


def _resampled(samples: Sequence[Sequence[float]]) -> list[Any]:
    """Return the means of the resamples of each sample."""
    import numpy as np  # noqa: PLC0415

    return [
        np.concatenate(
            [weights @ np.asarray(sample, dtype=float) for weights in _weights(len(sample), place)]
        )
        for place, sample in enumerate(samples)
    ]


def _weights(size: int, place: int) -> Iterable[Any]:
    """Return the weight of each value in each resample, equal for all samples of a size.

    :param place: the position of a sample among others. Different positions are independent.
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


def _interval(statistic: Any, samples: Sequence[Sequence[float]]) -> Interval | None:
    """Return the interval of a resampled statistic; ``None`` if a bound is not finite."""
    import numpy as np  # noqa: PLC0415

    tail = _tail(min(len(sample) for sample in samples))
    left_out = int(tail * len(statistic))
    bounds = [left_out, len(statistic) - 1 - left_out]
    low, high = np.partition(statistic, bounds)[bounds]
    return Interval(float(low), float(high)) if np.isfinite([low, high]).all() else None


@functools.cache
def _tail(size: int) -> float:
    """Return the share of resamples to cut off at each end, for samples of a size."""
    spread = math.sqrt(size / (size - 1)) * student((1 - CONFIDENCE) / 2, size - 1)
    return statistics.NormalDist().cdf(spread)
