"""The values of metrics, by the identity of a cell: its stack and its parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from testbed.results.model import Cell, RunRecord, Status

# Identity of a cell -> metric -> values; see :attr:`testbed.results.model.Cell.identity`.
_Values = Mapping[str, Mapping[str, Sequence[float]]]


NOTHING: Final[Mapping[str, float]] = MappingProxyType({})
# The busy share of all processors' time from which on they may have limited the network.
SATURATED: Final = 0.95


class Samples:
    """The values of the ``ok`` runs of each cell, in the order of the runs.

    :param busy: for each identity of a cell, the busy share of the processors in its busiest run.
    """

    def __init__(self, values: _Values, busy: Mapping[str, float] = NOTHING) -> None:
        self._values = values
        self._busy = busy

    @classmethod
    def of(cls, runs: Iterable[RunRecord]) -> Samples:
        """Collect the values of the runs that count."""
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        busy: dict[str, float] = defaultdict(float)
        for run in runs:
            if run.status is Status.OK:
                identity = run.identity
                of_cell = values[identity]
                for name, value in run.metrics.items():
                    of_cell[name].append(value)
                busy[identity] = max(busy[identity], run.busy or 0.0)
        return cls(values, busy)

    def metrics(self, cell: Cell) -> Mapping[str, Sequence[float]]:
        """Return all metrics of the runs of a cell."""
        return self._values.get(cell.identity, {})

    def values(self, cell: Cell, metric: str) -> Sequence[float]:
        """Return the values of one metric in one cell; empty if no run has it."""
        return self.metrics(cell).get(metric, ())

    def busy(self, cell: Cell) -> float:
        """Return how busy the machine was in the busiest run of a cell, from 0 to 1."""
        return self._busy.get(cell.identity, 0.0)
