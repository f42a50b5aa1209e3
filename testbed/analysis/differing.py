"""The difference of two samples: a test, an effect size, and the detectable change.

=====================  =====================================================================
test                   Mann-Whitney U: are values of one sample mostly above those of the other? It
                       is exact, also with ties: it counts all ways to divide the values among the
                       samples (H. Mann and D. Whitney, Annals of Mathematical Statistics 18, 1947;
                       with mid-ranks E. Lehmann, *Nonparametrics*, 1975). Above :data:`EXACT`
                       values it is the normal approximation, with corrections for ties and
                       continuity.
effect size            Cliff's delta: how much more often a value of one sample is above one of the
                       other than below, from -1 to 1 (N. Cliff, Psychological Bulletin 114, 1993)
several comparisons    Benjamini and Hochberg's step-up procedure: at most 5 % of the differences
                       found are false (Journal of the Royal Statistical Society B 57, 1995)
detectable change      Welch's t, which is easy to compute and needs about as many values
=====================  =====================================================================

``scipy.stats`` has the first and the third, but its import takes longer than a comparison. The unit
tests compare these functions with it.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from testbed.analysis.statistics import CONFIDENCE, student

ALPHA: Final = 1 - CONFIDENCE
POWER: Final = 0.9  # the probability of finding an existing difference
EXACT: Final = 60  # the most values of both samples for the exact test
MOST: Final = 1000  # the most repetitions that a user could request

_SIZES: Final = range(2, MOST + 1)

Sample = Sequence[float]


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a test of two samples.

    :param p: the two-sided probability of samples as different as these without a real difference.
    :param least: the smallest p that samples of these sizes can give.
    """

    name: str
    p: float
    least: float


def mann_whitney(base: Sample, new: Sample) -> Test:
    """Test whether ``new`` is mostly above or below ``base``. Each needs a value."""
    least = min(1.0, 2 / math.comb(len(base) + len(new), len(base)))
    if len(base) + len(new) <= EXACT:
        return Test(name="Mann-Whitney U, exact", p=_exact(base, new), least=least)
    return Test(name="Mann-Whitney U, normal approximation", p=_normal(base, new), least=least)


def cliffs_delta(base: Sample, new: Sample) -> float:
    """Return Cliff's delta: 1 if all values of ``new`` are above ``base``, -1 if all are below."""
    above = sum((b > a) - (b < a) for a in base for b in new)
    return above / (len(base) * len(new))


def adjusted(ps: Sequence[float]) -> list[float]:
    """Return the p values of several tests, corrected for their number."""
    least, result = 1.0, [1.0] * len(ps)
    for rank, place in sorted(enumerate(_order(ps), 1), reverse=True):
        least = min(least, ps[place] * len(ps) / rank)
        result[place] = least
    return result


def detectable(base: Sample, new: Sample, *, among: int) -> float | None:
    """Return the difference of means, in their unit, that such samples usually show.

    :param among: the number of comparisons. Only this one is assumed to have a difference.
        :returns: the difference found with a probability of :data:`POWER`; ``None`` if none can be.
    """
    if min(len(base), len(new)) < 2 or mann_whitney(base, new).least > ALPHA / among:
        return None
    error, freedom = _welch(base, new)
    return error * (student(1 - ALPHA / among / 2, freedom) + student(POWER, freedom))


def repetitions_to_find(base: Sample, new: Sample, change: float, *, among: int) -> int | None:
    """Return how many values each sample needs to usually show a difference of means.

    :returns: the number, or ``None`` if it is more than :data:`MOST`.
    """
    spread = math.hypot(_deviation(base), _deviation(new))

    def found(size: int) -> bool:
        freedom = 2 * (size - 1)
        t = student(1 - ALPHA / among / 2, freedom) + student(POWER, freedom)
        reaches = 2 / math.comb(2 * size, size) <= ALPHA / among
        return reaches and spread * t <= abs(change) * math.sqrt(size)

    return _fewest(found)


def repetitions_to_exclude(base: Sample, new: Sample, room: float) -> int | None:
    """Return how many values each sample needs for a half-width of at most ``room``.

    :returns: the number, or ``None`` if it is more than :data:`MOST`.
    """
    spread = math.hypot(_deviation(base), _deviation(new))

    def excluded(size: int) -> bool:
        return spread * student(1 - ALPHA / 2, size - 1) <= room * math.sqrt(size)

    return _fewest(excluded)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest sufficient size. All larger sizes are sufficient, too."""
    place = bisect.bisect_left(_SIZES, x=True, key=enough)
    return _SIZES[place] if place < len(_SIZES) else None


def _order(ps: Sequence[float]) -> list[int]:
    return sorted(range(len(ps)), key=ps.__getitem__)


def _deviation(sample: Sample) -> float:
    return statistics.stdev(sample) if len(sample) > 1 else 0.0


def _welch(base: Sample, new: Sample) -> tuple[float, float]:
    """Return the standard error of the difference of means, and its degrees of freedom."""
    parts = [statistics.variance(each) / len(each) for each in (base, new)]
    total = sum(parts)
    if total == 0:
        return 0.0, len(base) + len(new) - 2
    below = sum(part**2 / (len(each) - 1) for part, each in zip(parts, (base, new), strict=True))
    return math.sqrt(total), total**2 / below


def _ranks(values: Sample) -> list[int]:
    """Return twice the mid-rank of each value, which is an integer."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    count: dict[float, int] = {}
    for place, value in enumerate(ordered):
        first.setdefault(value, place)
        count[value] = count.get(value, 0) + 1
    return [2 * first[value] + count[value] + 1 for value in values]


def _exact(base: Sample, new: Sample) -> float:
    import numpy as np  # noqa: PLC0415

    ranks = _ranks([*base, *new])
    few = min((base, new), key=len)
    observed = sum(ranks[: len(base)]) if few is base else sum(ranks[len(base) :])
    ways = _ways(ranks, len(few))
    middle = len(few) * sum(ranks) / len(ranks)
    far = np.abs(np.arange(len(ways)) - middle) >= abs(observed - middle) - 1e-9
    return min(1.0, float(ways[far].sum() / ways.sum()))


def _ways(ranks: Sequence[int], few: int) -> Any:
    """Return, for each sum, the number of selections of ``few`` ranks with this sum."""
    import numpy as np  # noqa: PLC0415

    ways = np.zeros((few + 1, sum(sorted(ranks)[-few:]) + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return ways[few]


def _normal(base: Sample, new: Sample) -> float:
    ranks = _ranks([*base, *new])
    n, m, both = len(base), len(new), len(ranks)
    off = abs(sum(ranks[:n]) / 2 - n * (both + 1) / 2) - 0.5
    ties = sum(count**3 - count for count in (ranks.count(rank) for rank in set(ranks)))
    variance = n * m / 12 * (both + 1 - ties / (both * (both - 1)))
    if variance <= 0 or off <= 0:
        return 1.0
    return min(1.0, 2 * statistics.NormalDist().cdf(-off / math.sqrt(variance)))
