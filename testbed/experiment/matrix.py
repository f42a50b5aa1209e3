"""Which runs an experiment consists of, and in which order.  Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.results.model import Cell, Scalar

MAX_RUNS: Final = 100_000


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a cell.

    :param number: its place in the order, from 1.
    :param repetition: from 1.
    :param seed: of the wires' randomness and the payload.
    """

    number: int
    cell: Cell
    repetition: int
    seed: int


def expand(matrix: Mapping[str, Sequence[Scalar]], stacks: Sequence[str]) -> tuple[Cell, ...]:
    """Return every combination, the last parameter and then the stack varying fastest."""
    points = itertools.product(*matrix.values())
    return tuple(
        Cell(index=index, stack=stack, parameters=dict(zip(matrix, point, strict=True)))
        for index, (point, stack) in enumerate(itertools.product(points, stacks))
    )


def check_size(matrix: Mapping[str, Sequence[Scalar]], stacks: int, repetitions: int) -> None:
    """Refuse what could never end, before it is expanded.  Raises InputError."""
    runs = math.prod(len(values) for values in matrix.values()) * stacks * repetitions
    if runs > MAX_RUNS:
        raise InputError(f"the matrix asks for {runs} runs; at most {MAX_RUNS}")


def schedule(cells: Sequence[Cell], repetitions: int, seed: int) -> tuple[PlannedRun, ...]:
    """Return all runs in order: each repetition is a block that holds every cell once, shuffled.

    What drifts while an experiment lasts (temperature, other load) then falls on all cells alike,
    and stopping early leaves nearly the same number of runs of each.
    """
    runs: list[tuple[Cell, int]] = []
    for repetition in range(1, repetitions + 1):
        block = list(cells)
        random.Random(f"{seed} {repetition}").shuffle(block)
        runs += [(cell, repetition) for cell in block]
    return tuple(
        PlannedRun(
            number=number, cell=cell, repetition=repetition, seed=run_seed(seed, cell, repetition)
        )
        for number, (cell, repetition) in enumerate(runs, 1)
    )


def run_seed(seed: int, cell: Cell, repetition: int) -> int:
    """Return the seed of one run, of 63 bits.

    It depends on what the cell is, not on its place, so that another value in the matrix leaves
    the seeds of the other cells alone.
    """
    identity = json.dumps([seed, cell.stack, sorted(cell.parameters.items()), repetition])
    digest = hashlib.sha256(identity.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
