"""The question of an experiment, as far as its results are judged by it."""

from __future__ import annotations

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.metric import Metric
from testbed.results.model import Cell, Scalar


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment without its network.

    :param cells: every cell; the stacks of the same parameters lie together, the first one first.
    :param parameters: the values of each axis of the matrix.
    :param most: repetitions are added until the claims are decided, up to this number; ``None``:
        none are added.
    :param deterministic: whether a run would be the same again, so that one decides.
    :param own: metrics that programs of the experiment print, or that other packages added.
    :param headline: the metrics the experiment is run for, the first one above all.
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
        """The metrics that show whether it came out worse: the headline and the claims'."""
        return tuple(dict.fromkeys([*self.headline, *(str(it.instance) for it in self.claims)]))
