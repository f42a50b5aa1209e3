"""The definition of an experiment, reduced to the part that the analysis needs."""

from __future__ import annotations

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.metric import Metric
from testbed.results.model import Cell, Scalar


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment without its network.

    :param cells: every cell. Cells with the same parameters are adjacent, in the order of the
        stacks.
    :param parameters: the values of each axis of the matrix.
    :param most: the limit of repetitions, which are added until the claims are decided; ``None``
        adds none.
    :param deterministic: whether runs are reproducible, so that one run is sufficient.
    :param own: the metrics that programs of the experiment print, or that other packages added.
    :param headline: the main metrics of the experiment, the most important one first.
    """

    name: str
    description: str
    stacks: tuple[str, ...]
    parameters: dict[str, list[Scalar]]
    cells: tuple[Cell, ...]
    repetitions: int
    headline: tuple[str, ...]
    claims: tuple[ExpectSpec, ...]
    most: int | None = None
    deterministic: bool = False
    own: dict[str, Metric] = {}

    @property
    def compared(self) -> tuple[str, ...]:
        """The metrics for comparisons: the headline, and those of the claims."""
        return tuple(dict.fromkeys([*self.headline, *(str(it.instance) for it in self.claims)]))
