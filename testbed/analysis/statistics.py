"""Means, and how sure one can be of them.

Every interval is a bootstrap interval: the repetitions are drawn again and again, with replacement,
and the statistic's own spread says how far it may be from the truth (Efron and Tibshirani, *An
Introduction to the Bootstrap*, 1993, chapter 14: the bias-corrected and accelerated interval).  No
shape of the distribution is assumed, which suits goodputs: they are skewed and bounded.

With a handful of repetitions any bootstrap interval is too narrow, because so few values cannot
show the tails.  It tells the difference between 1 % and 20 % apart; it is no proof at the edge.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

import msgspec

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 9999
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
    samples = [numerator, *denominators]
    if any(len(sample) < 2 for sample in samples):
        return Ratio(value=value, interval=None)
    if all(min(sample) == max(sample) for sample in samples):
        return Ratio(value=value, interval=Interval(value, value))
    return Ratio(value=value, interval=_bootstrap(samples))


def _bootstrap(samples: Sequence[Sequence[float]]) -> Interval:
    # Imported here: scipy.stats takes longer to load than most commands to run.
    import numpy as np  # noqa: PLC0415
    from scipy.stats import bootstrap  # noqa: PLC0415

    def statistic(first: Any, *others: Any, axis: int) -> Any:
        return np.mean(first, axis) / (sum(np.mean(o, axis) for o in others) if others else 1.0)

    bounds = bootstrap(
        samples,
        statistic,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(float(bounds.low), float(bounds.high))
