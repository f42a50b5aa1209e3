"""The comparison of the cells of two sides, metric by metric. Pure.

:mod:`testbed.analysis.change` explains the verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from testbed.analysis import differing, noise
from testbed.analysis.change import Change, Pair, Row, smallest
from testbed.analysis.likeness import refuse
from testbed.analysis.registry import metric_of
from testbed.analysis.sides import CellSamples, Side, matched
from testbed.analysis.verdicts import Verdict
from testbed.errors import InputError
from testbed.metric import Better, Metric, Source
from testbed.results.model import SCHEMA

OK: Final = Metric(
    name="ok",
    unit="1",
    better=Better.HIGHER,
    definition="the share of runs that count",
    source=Source.DERIVED,
    robust=True,
)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a comparison.

    :param metrics: the names of metrics; by default the headline of the experiment.
    :param threshold: the smallest relevant change, as a share of the base's mean; by default
        :func:`testbed.analysis.change.smallest`.
    :param across: the facts of the environment that may differ, see
        :func:`testbed.analysis.likeness.refuse`.
    :param force: whether to compare despite any differences.
    :param apart: the names that select the cells of the two sides, which differ in them.
    """

    metrics: tuple[str, ...] = ()
    threshold: float | None = None
    across: frozenset[str] = frozenset()
    force: bool = False
    apart: frozenset[str] = frozenset()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison of new sides with a base.

    :param exact: whether time was virtual, so that every difference is real.
    :param changes: a row for each new side, cell and metric. The rows of a cell are adjacent.
    :param warnings: possible disturbances of the numbers, and cells that were not compared.
    :param own: the metrics that programs of the experiment print.
    """

    schema: int = SCHEMA
    experiment: str
    base: str
    news: tuple[str, ...]
    exact: bool
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    own: dict[str, Metric] = {}

    @property
    def regressed(self) -> bool:
        """Whether a metric regressed."""
        return self._any(Verdict.REGRESSED)

    @property
    def inconclusive(self) -> bool:
        """Whether a verdict is not decided."""
        return self._any(Verdict.INCONCLUSIVE)

    @property
    def changed(self) -> bool:
        """Whether a metric changed, for better or worse."""
        return self._any(Verdict.REGRESSED, Verdict.IMPROVED, Verdict.CHANGED)

    @property
    def counts(self) -> dict[Verdict, int]:
        """The number of rows with each verdict, without zeros."""
        counts = {each: sum(row.verdict is each for row in self.changes) for each in Verdict}
        return {verdict: count for verdict, count in counts.items() if count}

    def _any(self, *verdicts: Verdict) -> bool:
        return any(row.verdict in verdicts for row in self.changes)


NO_TERMS: Final = Terms()


def compare(base: Side, news: Sequence[Side], terms: Terms = NO_TERMS) -> Comparison:
    """Compare each of ``news`` with ``base``.

    :raises InputError: the sides differ in facts that must be equal, have no common cell, or no run
        has one of the metrics.
    """
    if not terms.force:
        for new in news:
            refuse(base, new, terms.across)
    pairs = list(_paired(base, news, terms))
    if not pairs:
        raise InputError(
            f"{' and '.join(new.name for new in news)} and {base.name} have no cell in common",
            hint="--base and --new select cells, for example --base stack=tcp --new stack=mptcp",
        )
    own = base.own | {key: it for new in news for key, it in new.own.items()}
    metrics = terms.metrics or base.headline
    _check(terms.metrics, pairs)
    rows = [row for pair in pairs for row in _rows(pair, metrics, own)]
    corrected = iter(differing.adjusted([row.test.p for row in rows if row.test is not None]))
    among = sum(row.test is not None for row in rows)
    return Comparison(
        experiment=base.experiment,
        base=base.name,
        news=tuple(new.name for new in news),
        exact=all(pair.exact for pair in pairs),
        changes=tuple(
            row.change(None if row.test is None else next(corrected), among) for row in rows
        ),
        warnings=tuple(dict.fromkeys(_warnings(base, news, terms, pairs))),
        own=own,
    )


def _paired(base: Side, news: Iterable[Side], terms: Terms) -> Iterator[Pair]:
    """Yield pairs of cells that differ only in the selected names, in the order of the base."""
    partners = [(new, {matched(cell, terms.apart): cell for cell in new.cells}) for new in news]
    for cell in base.cells:
        for new, of in partners:
            partner = of.get(matched(cell, terms.apart))
            if partner is not None:
                yield Pair(
                    base=base.name,
                    new=new.name,
                    mine=cell,
                    its=partner,
                    exact=base.deterministic and new.deterministic,
                    threshold=smallest(base, new, terms.threshold),
                )


def _check(metrics: Sequence[str], pairs: Sequence[Pair]) -> None:
    there = {name for pair in pairs for each in (pair.mine, pair.its) for name in each.metrics}
    for name in metrics:
        if name not in there:
            raise InputError(
                f"no run here has the metric {name!r}", hint=f"they have {', '.join(sorted(there))}"
            )


def _rows(pair: Pair, metrics: Sequence[str], own: dict[str, Metric]) -> Iterator[Row]:
    """Yield a row for each metric, and one for the share of runs that count if it is below 1."""
    if any(cell.failed + cell.invalid for cell in (pair.mine, pair.its)):
        yield Row(pair, OK.name, OK, _counting(pair.mine), _counting(pair.its))
    for name in metrics:
        if not (pair.mine.values(name) or pair.its.values(name)):
            continue  # for example the share of a path that this stack does not use
        metric = metric_of(name, own)
        if not pair.exact:
            yield Row(pair, name, metric, pair.mine.values(name), pair.its.values(name))
            continue
        mine, its = pair.mine.by_repetition(name), pair.its.by_repetition(name)
        both = [number for number in mine if number in its]
        if mine and its:
            base, new = ([of[number] for number in both] for of in (mine, its))
            yield Row(pair, name, metric, base, new, strangers=not both)
        else:  # a side has no values: show those of the other, and name the right side
            yield Row(pair, name, metric, [*mine.values()], [*its.values()])


def _counting(cell: CellSamples) -> list[float]:
    return [1.0] * len(cell.repetitions) + [0.0] * (cell.failed + cell.invalid)


def _warnings(
    base: Side, news: Sequence[Side], terms: Terms, pairs: Sequence[Pair]
) -> Iterator[str]:
    yield from noise.unmatched(base, news, terms.apart)
    by_name = {side.name: side for side in (*news, base)}
    for pair in pairs:
        yield from noise.of_cell(base, pair.mine)
        yield from noise.of_cell(by_name[pair.new], pair.its)
        yield from noise.between(pair.base, pair.mine, pair.new, pair.its)
