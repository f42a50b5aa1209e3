"""The runs of an experiment, and their order. Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.results.model import STACK_PREFIX, Cell, Scalar
from testbed.workload.stacks.choice import StackChoice

MAX_RUNS: Final = 100_000


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a cell.

    :param number: its place in the order, from 1.
    :param repetition: from 1.
    :param seed: the seed for the wires and the payload.
    """

    number: int
    cell: Cell
    repetition: int
    seed: int


def expand(
    matrix: Mapping[str, Sequence[Scalar]], stacks: Sequence[StackChoice]
) -> tuple[Cell, ...]:
    """Return every combination, the last parameter and then the stack varying fastest.

    A parameter ``stack.OPTION`` applies to the stacks that have this option. The cells of other
    stacks lack the parameter.
    """
    common = {path: it for path, it in matrix.items() if not path.startswith(STACK_PREFIX)}
    options = [_options(matrix, stack) for stack in stacks]
    return tuple(
        Cell(stack=stack.label, parameters=point | own)
        for point in _points(common)
        for stack, axes in zip(stacks, options, strict=True)
        for own in _points(axes)
    )


def check_size(
    matrix: Mapping[str, Sequence[Scalar]], stacks: Sequence[StackChoice], repetitions: int
) -> None:
    """Refuse a matrix that is too large, before it is expanded. Raises InputError."""
    points = _size({path: it for path, it in matrix.items() if not path.startswith(STACK_PREFIX)})
    runs = points * sum(_size(_options(matrix, stack)) for stack in stacks) * repetitions
    if runs > MAX_RUNS:
        raise InputError(f"the matrix has {runs} runs; the maximum is {MAX_RUNS}")


def schedule(cells: Sequence[Cell], repetitions: int, seed: int) -> tuple[PlannedRun, ...]:
    """Return all runs in order: each repetition is a block that holds every cell once, shuffled.

    So a drift during the experiment (temperature, other load) affects all cells equally, and an
    early stop leaves nearly the same number of runs of each cell.
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


def traffic_seed(seed: int, planned: PlannedRun, flow: str) -> int:
    """Return the seed (63 bits) for the arrivals, sizes and payloads of a flow in a run.

    All stacks that are compared have the same seed.
    """
    point = sorted(planned.cell.point.items())
    return _digest([seed, point, planned.repetition, flow])


def run_seed(seed: int, cell: Cell, repetition: int) -> int:
    """Return the seed of one run, of 63 bits.

    It depends on the values of the cell, not on its place, so that a new value in the matrix does
    not change the seeds of other cells.
    """
    return _digest([seed, cell.stack, sorted(cell.parameters.items()), repetition])


def _digest(identity: object) -> int:
    digest = hashlib.sha256(json.dumps(identity).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stack_axes(
    matrix: Mapping[str, Sequence[Scalar]], stack: StackChoice
) -> dict[str, Sequence[Scalar]]:
    """Return the axes that the cells of one stack have."""
    own = _options(matrix, stack)
    return {
        path: values
        for path, values in matrix.items()
        if path in own or not path.startswith(STACK_PREFIX)
    }


def _options(
    matrix: Mapping[str, Sequence[Scalar]], stack: StackChoice
) -> dict[str, Sequence[Scalar]]:
    """Return the axes that are options of one stack."""
    return {
        path: values
        for path, values in matrix.items()
        if path.startswith(STACK_PREFIX) and stack.has(path.removeprefix(STACK_PREFIX))
    }


def _points(axes: Mapping[str, Sequence[Scalar]]) -> Iterator[dict[str, Scalar]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _size(axes: Mapping[str, Sequence[Scalar]]) -> int:
    size = 1
    for values in axes.values():
        size *= len(values)
    return size
