"""One metric of one cell on two sides, and its verdict.  Pure.

A verdict is about a *smallest relevant change*, the threshold:

============  ================================================================================
regressed     the difference is significant, and the mean is worse by the threshold or more
improved      the same for the better; ``changed`` for a metric without a better direction
pass          the 95 % interval of the change excludes a change for the worse by the threshold or
              more; for a metric without a better direction, a change in any direction
inconclusive  none of these: more repetitions may decide, and their number is reported
============  ================================================================================

Significance means a test at 5 %, corrected for all simultaneous comparisons
(:mod:`testbed.analysis.differing`).

In virtual time runs are reproducible, so one run is sufficient: the numbers of each repetition are
equal or different. In a simulation every change is relevant. On the virtual clock of a kernel the
smallest relevant change is :data:`VIRTUAL`.
"""

from __future__ import annotations

import statistics
from typing import Final

import msgspec

from testbed.analysis import differing
from testbed.analysis.differing import ALPHA, Test
from testbed.analysis.samples import SATURATED
from testbed.analysis.sides import CellSamples, Side
from testbed.analysis.statistics import Estimate, Interval, difference, estimate
from testbed.analysis.verdicts import Verdict
from testbed.metric import Better, Metric
from testbed.results.model import Scalar

# The changes on the virtual clock of a kernel that another checkout or earlier runs can cause
# (docs/virtual-time.md). A simulation has none.
VIRTUAL: Final = 0.005
# Less than a user of a network notices, and more than the usual difference of means of ten runs of
# the kernel's stacks without a change: tests/unit/analysis/data.
THRESHOLD: Final = 0.05


def smallest(base: Side, new: Side, wanted: float | None) -> float:
    """Return the smallest relevant change between two sides.

    :param wanted: the threshold that the user gave, if any.
    """
    if wanted is not None:
        return wanted
    if not (base.deterministic and new.deterministic):
        return THRESHOLD
    return 0.0 if base.simulated and new.simulated else VIRTUAL


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one cell on two sides.

    :param stack: the stack of the base; ``new_stack`` is that of the new side.
    :param parameters: the parameters of the base.
    :param side: the name of the new side.
    :param base: the mean of the base with its interval, in ``unit``; ``None`` without values.
    :param difference: the difference of the means, in ``unit``.
    :param relative: ``difference`` as a share of the base's mean; ``None`` if that is 0, or if the
        metric is an identifier and not a measurement.
    :param interval: the 95 % interval of ``relative``, or of ``difference`` if ``relative`` is
        None.
    :param effect: Cliff's delta, from -1 to 1.
    :param test: the test, with name and p; ``None`` in virtual time, and if a side has fewer than
        two values.
    :param p: the p value of the test, corrected for all simultaneous comparisons.
    :param threshold: the smallest relevant change, as a share of the base's mean.
    :param detectable: the smallest relative change that such samples usually show.
    :param repetitions: how many repetitions of each side would decide; ``None`` if the change is
        decided, if :data:`testbed.analysis.differing.MOST` are not enough, or if more runs do not
        help.
    :param why: the reason why it is not decided.
    """

    stack: str
    new_stack: str
    parameters: dict[str, Scalar]
    side: str
    metric: str
    unit: str
    better: Better
    verdict: Verdict
    base: Estimate | None
    new: Estimate | None
    difference: float | None = None
    relative: float | None = None
    interval: Interval | None = None
    effect: float | None = None
    test: Test | None = None
    p: float | None = None
    threshold: float
    detectable: float | None = None
    repetitions: int | None = None
    why: str | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A cell on two sides.

    :param base: the name of the base; ``new`` is the name of the new side.
    :param exact: whether the runs of both sides are reproducible.
    """

    base: str
    new: str
    mine: CellSamples
    its: CellSamples
    exact: bool
    threshold: float

    @property
    def busy(self) -> float:
        """How busy the machine was in most runs, from 0 to 1; 0 on a virtual clock."""
        return 0.0 if self.exact else max(self.mine.busy, self.its.busy)


class Row:
    """One metric of a pair. It has a verdict as soon as all p values are known.

    :param name: the name of the number, with its subject.
    :param base: the values of the base; ``new`` are those of the new side. If the pair is exact,
        both are from the same repetitions.
    :param strangers: whether both sides have values, but not from a common repetition.
    """

    def __init__(
        self,
        pair: Pair,
        name: str,
        metric: Metric,
        base: list[float],
        new: list[float],
        *,
        strangers: bool = False,
    ) -> None:
        self._pair, self._name, self._metric = pair, name, metric
        self._strangers = strangers
        self._base, self._new = base, new
        self._mean = abs(statistics.fmean(base)) if base else 0.0
        self._difference: float | None = None
        self._interval: Interval | None = None
        self.test: Test | None = None
        if base and new:
            found = difference(new, base)
            self._difference = found.value
            if not pair.exact:
                self._interval = self._scaled(found.interval)
        if not pair.exact and min(len(base), len(new)) > 1:
            self.test = differing.mann_whitney(base, new)

    @property
    def _relative(self) -> float | None:
        there = self._difference is not None and self._mean and not self._metric.names
        return self._difference / self._mean if there and self._difference is not None else None

    def _scaled(self, interval: Interval | None) -> Interval | None:
        if interval is None or not self._mean:
            return interval
        return Interval(interval.low / self._mean, interval.high / self._mean)

    def change(self, p: float | None, among: int) -> Change:
        """Return the row with its verdict.

        :param p: the corrected p value of its test.
        :param among: the number of tests.
        """
        pair, there = self._pair, self._difference is not None
        disturbed = not self._metric.robust and pair.busy >= SATURATED
        verdict = Verdict.INCONCLUSIVE if disturbed else self._verdict(p)
        decided = verdict is not Verdict.INCONCLUSIVE
        tested = self.test is not None
        return Change(
            stack=pair.mine.stack,
            new_stack=pair.its.stack,
            parameters=pair.mine.parameters,
            side=pair.new,
            metric=self._name,
            unit=self._metric.unit,
            better=self._metric.better,
            verdict=verdict,
            base=estimate(self._base) if self._base else None,
            new=estimate(self._new) if self._new else None,
            difference=self._difference,
            relative=self._relative,
            interval=self._interval,
            effect=differing.cliffs_delta(self._base, self._new) if there else None,
            test=self.test,
            p=p,
            threshold=pair.threshold,
            detectable=self._detectable(among) if tested else None,
            repetitions=None if decided or disturbed else self._repetitions(among),
            why=None if decided else self._busy() if disturbed else self._why(among),
        )

    def _verdict(self, p: float | None) -> Verdict:
        if self._difference is None:
            return Verdict.INCONCLUSIVE
        if self._pair.exact:
            return self._exact()
        effect = differing.cliffs_delta(self._base, self._new)
        if (
            p is not None
            and p <= ALPHA
            and self._is_large()
            and effect * self._difference > 0  # no effect of a single value: means and ranks agree
        ):
            return self._direction()
        return Verdict.PASS if self._is_excluded() else Verdict.INCONCLUSIVE

    def _is_large(self) -> bool:
        return self._relative is None or abs(self._relative) >= self._pair.threshold

    def _exact(self) -> Verdict:
        if self._base == self._new or (self._pair.threshold and not self._is_large()):
            return Verdict.PASS
        return self._direction() if self._difference else Verdict.CHANGED

    def _direction(self) -> Verdict:
        if self._metric.better is Better.NEITHER:
            return Verdict.CHANGED
        higher = self._difference is not None and self._difference > 0
        good = higher is (self._metric.better is Better.HIGHER)
        return Verdict.IMPROVED if good else Verdict.REGRESSED

    def _is_excluded(self) -> bool:
        """Return whether the interval excludes a change for the worse by the threshold or more."""
        interval = self._interval
        if interval is None:
            return False
        room = self._pair.threshold if self._mean else 0.0
        not_lower = interval.low > -room or interval.low == 0
        not_higher = interval.high < room or interval.high == 0
        if self._metric.better is Better.HIGHER:
            return not_lower
        return not_higher if self._metric.better is Better.LOWER else not_lower and not_higher

    def _busy(self) -> str:
        return (
            f"the processors were busy {self._pair.busy:.0%} of the time in most runs: "
            "they may be the limit, not the network"
        )

    def _why(self, among: int) -> str:
        if self._strangers:
            return "the two sides have no repetition in common"
        sides = ((self._pair.base, self._base), (self._pair.new, self._new))
        lost = [name for name, values in sides if not values]
        if lost:
            return f"no run of {' or '.join(lost)} measured it"
        if self.test is None:
            return "a single run shows no spread"
        if self._is_large() and self.test.least > ALPHA / among:
            sizes = f"{len(self._base)} and {len(self._new)} runs"
            change = f"single change among {among} comparisons" if among > 1 else "change"
            return f"with {sizes} no {change} can be significant"
        return f"the runs differ too much among themselves{self._hopeless(among)}"

    def _hopeless(self, among: int) -> str:
        there = self._relative is not None and self._repetitions(among) is None
        return f"; not even {differing.MOST} repetitions would decide" if there else ""

    def _detectable(self, among: int) -> float | None:
        """Return the relative change that would be significant and relevant."""
        found = differing.detectable(self._base, self._new, among=among)
        if found is None or not self._mean:
            return None
        return max(found / self._mean, self._pair.threshold)

    def _repetitions(self, among: int) -> int | None:
        """Return how many repetitions would decide, if the observed change is the true one."""
        relative, fewest = self._relative, min(len(self._base), len(self._new))
        if self.test is None or relative is None or self._difference is None:
            return None
        room = self._pair.threshold - abs(relative)
        found = (
            differing.repetitions_to_exclude(self._base, self._new, room * self._mean)
            if room > 0
            else differing.repetitions_to_find(self._base, self._new, self._difference, among=among)
        )
        return None if found is None else max(found, fewest + 1)
