"""The values of metrics, keyed by what a cell is: its stack and its parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from testbed.results.model import Cell, RunRecord, Status

# What a cell is -> metric -> values; see :attr:`testbed.results.model.Cell.identity`.
_Values = Mapping[str, Mapping[str, Sequence[float]]]


class Samples:
    """What the ``ok`` runs of each cell gave, in the order of the runs."""

    def __init__(self, values: _Values) -> None:
        self._values = values

    @classmethod
    def of(cls, runs: Iterable[RunRecord]) -> Samples:
        """Take the values of the runs that count."""
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            if run.status is Status.OK:
                of_cell = values[run.identity]
                for name, value in run.metrics.items():
                    of_cell[name].append(value)
        return cls(values)

    def metrics(self, cell: Cell) -> Mapping[str, Sequence[float]]:
        """Return every metric that a run of this cell gave."""
        return self._values.get(cell.identity, {})

    def values(self, cell: Cell, metric: str) -> Sequence[float]:
        """Return the values of one metric in one cell; none if no run gave it."""
        return self.metrics(cell).get(metric, ())
