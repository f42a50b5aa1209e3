"""The history of an experiment: when did its numbers change? Pure.

The library *ruptures* finds the places of changes (C. Truong, L. Oudre and N. Vayatis, Signal
Processing 167, 2020): PELT with the squared error of the folders' means, and the penalty of the
modified Bayes information criterion (N. Zhang and D. Siegmund, Biometrics 63, 2007). The natural
scatter of the means is the larger of two estimates: from the runs within the folders, and from the
steps between folders.

A comparison of the runs before and after a change, up to the adjacent changes, decides whether it
counts (:mod:`testbed.analysis.change`). In virtual time every difference is a change.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.analysis import differing
from testbed.analysis.change import Change, Pair, Row, smallest
from testbed.analysis.likeness import EXPERIMENT, differences
from testbed.analysis.registry import metric_of
from testbed.analysis.sides import CellSamples, Side, matched
from testbed.analysis.statistics import Estimate, estimate
from testbed.analysis.verdicts import Verdict
from testbed.errors import InputError, PlatformError
from testbed.hints import extra
from testbed.results.model import SCHEMA, Scalar

_SCATTER: Final = 5  # the fewest folders for an estimate of the scatter from their steps
_MAD: Final = 1.4826  # standard deviation over median deviation of a normal distribution
_FEWEST: Final = 2  # the fewest sides of a history


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One folder on a line.

    :param at: the time of its creation, UTC, ISO 8601.
    :param commit: the commit of the checkout that testbed ran from, if any.
    :param change: the change from the previous folders, if the numbers changed here.
    """

    side: str
    at: str
    commit: str | None
    kernel: str
    machine: str
    estimate: Estimate | None
    change: Change | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one cell through all folders."""

    stack: str
    parameters: dict[str, Scalar]
    metric: str
    unit: str
    points: tuple[Point, ...]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment through all folders, the oldest first."""

    schema: int = SCHEMA
    experiment: str
    lines: tuple[Line, ...]


def history(
    sides: Sequence[Side], metrics: Sequence[str] = (), threshold: float | None = None
) -> History:
    """Find the places where numbers changed.

    :param sides: the sides, in any order. They are sorted by the time of their creation.
    :param metrics: the names of metrics; by default the headline of the experiment.
    :param threshold: the smallest relevant change, as for a comparison.
    :raises InputError: the sides are not of one experiment, or there is only one.
    """
    ordered = sorted(sides, key=lambda side: side.created_at)
    if len(ordered) < _FEWEST:
        raise InputError("a history needs two or more folders", hint="name more folders")
    first = ordered[0]
    for other in ordered[1:]:
        found = differences(first, other).get(EXPERIMENT)
        if found:
            raise InputError(
                f"{other.name} and {first.name} are of different experiments: {'; '.join(found)}"
            )
    lines = [
        _Followed(ordered, cell, name, threshold)
        for cell in first.cells
        for name in metrics or first.headline
    ]
    rows = [row for line in lines for row in line.rows.values()]
    ps = iter(differing.adjusted([row.test.p for row in rows if row.test is not None]))
    judged = {id(row): row.change(next(ps) if row.test else None, len(rows)) for row in rows}
    return History(
        experiment=first.experiment,
        lines=tuple(
            line.told({place: judged[id(row)] for place, row in line.rows.items()})
            for line in lines
        ),
    )


class _Followed:
    """One metric of one cell in all sides.

    ``rows`` maps each place of a possible change to the values before and after it.
    """

    def __init__(
        self, sides: Sequence[Side], cell: CellSamples, name: str, threshold: float | None
    ) -> None:
        self._sides, self._cell, self._name = sides, cell, name
        key = matched(cell, frozenset())
        self._cells = [
            next((it for it in side.cells if matched(it, frozenset()) == key), None)
            for side in sides
        ]
        self._values = [[] if it is None else it.values(name) for it in self._cells]
        self._metric = metric_of(name, sides[0].own)
        self._exact = all(side.deterministic for side in sides)
        self._threshold = max(smallest(sides[0], side, threshold) for side in sides)
        self.rows = dict(self._rows())

    def _rows(self) -> Iterator[tuple[int, Row]]:
        there = [place for place, values in enumerate(self._values) if values]
        values = [self._values[place] for place in there]
        breaks = _steps(values) if self._exact else _breaks(values)
        bounds = [0, *breaks, len(there)]
        for number, at in enumerate(breaks, 1):
            before = [it for each in values[bounds[number - 1] : at] for it in each]
            after = [it for each in values[at : bounds[number + 1]] for it in each]
            mine, its = self._cells[there[at - 1]], self._cells[there[at]]
            if mine is not None and its is not None:
                pair = Pair(
                    base=self._sides[there[at - 1]].name,
                    new=self._sides[there[at]].name,
                    mine=mine,
                    its=its,
                    exact=self._exact,
                    threshold=self._threshold,
                )
                yield there[at], Row(pair, self._name, self._metric, before, after)

    def told(self, changes: dict[int, Change]) -> Line:
        """Return the line with the changes that the comparison confirms."""
        kept = {
            place: change
            for place, change in changes.items()
            if change.verdict not in (Verdict.PASS, Verdict.INCONCLUSIVE)
        }
        return Line(
            stack=self._cell.stack,
            parameters=self._cell.parameters,
            metric=self._name,
            unit=self._metric.unit,
            points=tuple(
                _point(side, self._values[place], kept.get(place))
                for place, side in enumerate(self._sides)
            ),
        )


def _point(side: Side, values: Sequence[float], change: Change | None) -> Point:
    checkout = side.environment.checkout
    return Point(
        side=side.name,
        at=side.created_at,
        commit=None if checkout is None else checkout.commit + "+" * checkout.dirty,
        kernel=side.environment.kernel.release,
        machine=side.environment.machine,
        estimate=estimate(values) if values else None,
        change=change,
    )


def _steps(values: Sequence[Sequence[float]]) -> list[int]:
    """Return the places where the values differ from the previous ones."""
    return [place for place in range(1, len(values)) if values[place] != values[place - 1]]


def _breaks(values: Sequence[Sequence[float]]) -> list[int]:
    """Return the places where the mean changes."""
    if len(values) < _FEWEST:
        return []
    means = [statistics.fmean(each) for each in values]
    scatter = _scatter(values, means)
    if scatter == 0:
        return _steps([[mean] for mean in means])
    try:
        import numpy as np  # noqa: PLC0415
        import ruptures  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PlatformError(
            f"{error.name} is not installed",
            why="it finds where numbers changed",
            instead=extra("history"),
        ) from error
    signal = np.array(means) / scatter
    search = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(signal)
    *places, _ = search.predict(pen=3 * math.log(len(means)))
    return [int(place) for place in places]


def _scatter(values: Sequence[Sequence[float]], means: Sequence[float]) -> float:
    """Return the standard deviation of means without a change."""
    errors = [statistics.variance(each) / len(each) for each in values if len(each) > 1]
    within = math.sqrt(statistics.fmean(errors)) if errors else 0.0
    if len(means) < _SCATTER:
        return within
    steps = [abs(after - before) for before, after in itertools.pairwise(means)]
    return max(within, _MAD * statistics.median(steps) / math.sqrt(2))
