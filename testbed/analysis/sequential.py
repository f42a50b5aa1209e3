"""Repetitions until claims are decided, with a controlled probability of error. Pure.

The numbers are checked after each block of repetitions, until one of these *looks* decides. With
the usual intervals the result would be wrong in more than 5 % of the cases: with ten looks in about
20 %. So the 5 % are divided among the looks, and each look has a wider interval: *repeated
confidence intervals* (C. Jennison and B. Turnbull, Journal of the Royal Statistical Society B 51,
1989). An *alpha spending function* of the share of finished repetitions (K. Lan and D. DeMets,
Biometrika 70, 1983) gives the part of each look. Its form resembles Pocock's boundary. It leaves
enough to the first looks to detect a large effect early, which saves repetitions.

The levels of all looks add up to 5 %. This bounds the probability of error for any dependence
between the looks. A boundary from a joint normal distribution would be slightly narrower, but wrong
for ratios of five values. The intervals are Student's, by the delta method for a ratio, with
Welch's degrees of freedom. A bootstrap cannot be used: the level of a single look lies far in the
tail, beyond the sampled values.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.samples import Samples
from testbed.analysis.statistics import CONFIDENCE, Interval, Ratio, student
from testbed.analysis.verdicts import Check, Verdict, evaluate
from testbed.results.model import RunRecord


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """The times of the looks at the numbers.

    :param block: the repetitions before the first look, and between two looks; at least 2.
    :param most: the repetitions before the last look.
    """

    block: int
    most: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of repetitions at each look."""
        first = range(self.block, self.most, self.block)
        return (*first, self.most)

    @property
    def levels(self) -> tuple[float, ...]:
        """The probability of error of each look. The sum is 5 %."""
        spent = [0.0, *(_spent(size / self.most) for size in self.sizes)]
        return tuple(after - before for before, after in itertools.pairwise(spent))


def _spent(share: float) -> float:
    return (1 - CONFIDENCE) * math.log1p((math.e - 1) * share)


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the claims of an experiment.

    :param checks: each claim with its interval at the look that decided it, or at the last look.
    :param repetitions: how many repetitions the next look needs, or how many were enough.
    """

    checks: tuple[Check, ...]
    repetitions: int


def follow(asked: Asked, looks: Looks, runs: Sequence[RunRecord]) -> Course:
    """Look at the runs in the order of repetitions, until all claims are decided or runs end.

    :param runs: the finished runs. A look needs all of its repetitions, including those that do not
        count.
    """
    found: dict[int, Check] = {}
    needed = looks.sizes[0]
    for size, level in zip(looks.sizes, looks.levels, strict=True):
        needed = size
        seen = [run for run in runs if run.repetition <= size]
        if len(seen) < size * len(asked.cells):
            break
        checks = evaluate(asked, Samples.of(seen), _Within(level))
        found |= {
            place: check
            for place, check in enumerate(checks)
            if place not in found or _is_open(found[place])
        }
        if not any(map(_is_open, found.values())):
            break
    if not found:
        return Course(checks=evaluate(asked, Samples.of(runs), _no_interval), repetitions=needed)
    return Course(checks=tuple(found[place] for place in sorted(found)), repetitions=needed)


def _is_open(check: Check) -> bool:
    """Return whether more repetitions could decide a claim."""
    return check.verdict is Verdict.INCONCLUSIVE and check.why is None


class _Within:
    """Computes ratios of means, with intervals of a given level."""

    def __init__(self, level: float) -> None:
        self._level = level

    def __call__(
        self, numerator: Sequence[float], denominators: Sequence[Sequence[float]]
    ) -> Ratio:
        return studentized(numerator, denominators, self._level)


def _no_interval(numerator: Sequence[float], denominators: Sequence[Sequence[float]]) -> Ratio:
    return Ratio(value=_over(numerator, denominators)[0], interval=None)


def _over(
    numerator: Sequence[float], denominators: Sequence[Sequence[float]]
) -> tuple[float, float]:
    below = sum(map(statistics.fmean, denominators)) if denominators else 1.0
    return statistics.fmean(numerator) / below, below


def studentized(
    numerator: Sequence[float], denominators: Sequence[Sequence[float]], level: float
) -> Ratio:
    """Return the mean of ``numerator`` over the sum of the others' means, with its interval.

    :param level: the probability that the interval misses the true value.
    :raises ZeroDivisionError: the denominators' means add up to 0.
    """
    value, below = _over(numerator, denominators)
    samples = [numerator, *denominators]
    if any(len(sample) < 2 for sample in samples):
        return Ratio(value=value, interval=None)
    weights = [1 / below, *(value / below for _ in denominators)]
    parts = [
        (weight**2 * statistics.variance(sample) / len(sample), len(sample) - 1)
        for weight, sample in zip(weights, samples, strict=True)
    ]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Ratio(value=value, interval=Interval(value, value))
    half = math.sqrt(variance) * student(1 - level / 2, _freedom(variance, parts))
    return Ratio(value=value, interval=Interval(value - half, value + half))


def _freedom(variance: float, parts: Iterable[tuple[float, int]]) -> float:
    return variance**2 / sum(part**2 / freedom for part, freedom in parts)
