"""Describes disturbances of the numbers of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.analysis.samples import SATURATED
from testbed.analysis.sides import CellSamples, Side, matched


def of_cell(side: Side, cell: CellSamples) -> Iterator[str]:
    """Yield the problems of the runs of a cell."""
    what = f"{side.name}, {named(cell)}"
    counted = len(cell.repetitions)
    missing = cell.planned - counted - cell.failed - cell.invalid
    if missing > 0:
        yield f"{what}: {missing} of {cell.planned} runs are missing"
    for number, word in ((cell.failed, "failed"), (cell.invalid, "invalid")):
        if number:
            yield f"{what}: {number} of {cell.planned} runs {word}; no mean includes them"
    if side.deterministic:
        return
    if cell.busy >= SATURATED:
        yield f"{what}: the processors were busy {cell.busy:.0%} of the time in most runs"
    if cell.load > side.environment.cpu.count:
        yield (
            f"{what}: a load average of {cell.load:.1f} on {side.environment.cpu.count} processors"
        )


def between(base: str, mine: CellSamples, new: str, its: CellSamples) -> Iterator[str]:
    """Yield differences between two compared cells, except in their numbers.

    :param base: the name of the base; ``new`` is the name of the new side.
    """
    where = named(mine) if mine.stack == its.stack else f"{named(its)} against {named(mine)}"
    for word, left, right in (
        ("congestion controls", mine.congestion, its.congestion),
        ("numbers of subflows", mine.subflows, its.subflows),
        ("engines", mine.engines, its.engines),
    ):
        if left and right and left != right:
            said = f"{_listed(left)} in {base}, {_listed(right)} in {new}"
            yield f"{where}: different {word}: {said}"


def unmatched(base: Side, news: Sequence[Side], apart: frozenset[str]) -> Iterator[str]:
    """Yield the cells that only one side has."""
    for new in news:
        for one, other in ((base, new), (new, base)):
            there = {matched(cell, apart) for cell in other.cells}
            for cell in one.cells:
                if matched(cell, apart) not in there:
                    yield f"{named(cell)} is in {one.name}, but not in {other.name}: not compared"


def named(cell: CellSamples) -> str:
    """Describe a cell in words."""
    values = ", ".join(f"{name} = {value}" for name, value in cell.parameters.items())
    return f"{cell.stack} ({values})" if values else cell.stack


def _listed(values: Sequence[object]) -> str:
    return " ".join(map(str, values))
