"""One side of a comparison: the samples of each cell, and their circumstances. Pure.

A side is small enough to be stored: a baseline is a side.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from testbed.analysis.asked import Asked
from testbed.errors import InputError
from testbed.metric import Metric
from testbed.results.environment import Environment
from testbed.results.model import (
    SCHEMA,
    STACK_PREFIX,
    Cell,
    ExperimentRecord,
    RunRecord,
    Scalar,
    Status,
    identity,
)

SIMULATION: Final = "sim"  # the name of the machine of simulated networks
STACK: Final = "stack"  # the name of the stack under test, in a selector


class CellSamples(msgspec.Struct, frozen=True, kw_only=True):
    """The results of the runs of one cell.

    :param repetitions: the repetitions of the runs that count, in order. Each metric has one value
        for each of them.
    :param metrics: the values by metric, in the units of :mod:`testbed.analysis.registry`; ``None``
        if a run has no such number.
    :param planned: the number of planned runs. Those that are not counted otherwise have not been
        run.
    :param subflows: the distinct numbers of subflows, if any.
    :param congestion: the congestion controls in use.
    :param engines: the engines that shaped the links.
    :param busy: how busy the machine was, from 0 to 1; the median of the runs.
    :param load: the highest load average at the start of a run.
    """

    stack: str
    parameters: dict[str, Scalar]
    repetitions: tuple[int, ...]
    metrics: dict[str, tuple[float | None, ...]]
    planned: int
    failed: int = 0
    invalid: int = 0
    subflows: tuple[int, ...] = ()
    congestion: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    busy: float = 0.0
    load: float = 0.0

    def values(self, metric: str) -> list[float]:
        """Return the values of a metric, in the order of the repetitions."""
        return [value for value in self.metrics.get(metric, ()) if value is not None]

    def by_repetition(self, metric: str) -> dict[int, float]:
        """Return the value of each repetition that has one."""
        values = self.metrics.get(metric, ())
        return {
            repetition: value
            for repetition, value in zip(self.repetitions, values, strict=False)
            if value is not None
        }


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """The results of an experiment in one environment.

    :param name: the name for messages: a folder, a machine, a baseline.
    :param spec: the experiment file as plain data, with the topology in it.
    :param digest: the digest of ``spec``.
    :param created_at: the time of the experiment's start; UTC, ISO 8601.
    :param headline: the metrics to compare by default, the most important one first.
    :param deterministic: whether runs are reproducible, so that one run is sufficient.
    :param own: the metrics that programs of the experiment print.
    """

    schema: int = SCHEMA
    name: str
    experiment: str
    created_at: str = ""
    digest: str
    spec: dict[str, Any]
    environment: Environment
    headline: tuple[str, ...]
    deterministic: bool
    cells: tuple[CellSamples, ...]
    own: dict[str, Metric] = {}

    @property
    def simulated(self) -> bool:
        """Whether the network was simulated."""
        return self.environment.machine == SIMULATION


Selector = Mapping[str, str]


def side(
    name: str,
    asked: Asked,
    record: ExperimentRecord,
    environment: Environment,
    runs: Sequence[RunRecord],
) -> Side:
    """Create a side from the contents of a result folder."""
    of_cell: dict[str, list[RunRecord]] = {cell.identity: [] for cell in asked.cells}
    for run in runs:
        of_cell.setdefault(run.identity, []).append(run)
    return Side(
        name=name,
        experiment=asked.name,
        created_at=record.created_at,
        digest=record.digest,
        spec=record.spec,
        environment=environment,
        headline=asked.compared,
        deterministic=asked.deterministic,
        own=asked.own,
        cells=tuple(_samples(cell, of_cell[cell.identity], asked) for cell in asked.cells),
    )


def _samples(cell: Cell, runs: Sequence[RunRecord], asked: Asked) -> CellSamples:
    """Summarise a cell. On a virtual clock the load of the machine is ignored."""
    good = sorted((run for run in runs if run.status is Status.OK), key=lambda it: it.repetition)
    count = Counter(run.status for run in runs)
    disturbed = [] if asked.deterministic else good
    names = dict.fromkeys(name for run in good for name in run.metrics)
    return CellSamples(
        stack=cell.stack,
        parameters=cell.parameters,
        repetitions=tuple(run.repetition for run in good),
        metrics={name: tuple(run.metrics.get(name) for run in good) for name in names},
        planned=asked.repetitions,
        failed=count[Status.FAILED],
        invalid=count[Status.INVALID],
        subflows=tuple(sorted({each for run in good for each in run.subflows})),
        congestion=tuple(sorted({each for run in good for each in run.congestion})),
        engines=tuple(sorted({run.engine for run in good})),
        busy=statistics.median([run.busy or 0.0 for run in disturbed] or [0.0]),
        load=max((run.load[0] for run in disturbed), default=0.0),
    )


def selector(text: str) -> dict[str, str]:
    """Parse a selector such as ``stack=mptcp,links.wifi.delay=10ms``.

    :raises InputError: the text is not a selector.
    """
    chosen: dict[str, str] = {}
    for part in _parts(text):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise InputError(
                f"{part!r} selects nothing", hint="NAME=VALUE, for example stack=mptcp"
            )
        chosen[name] = value
    return chosen


def _parts(text: str) -> Iterator[str]:
    """Split a text at commas outside of brackets: a stack may be ``userspace(a=1,b=2)``."""
    depth, begin = 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def select(side: Side, chosen: Selector) -> Side:
    """Return a side with only the cells that match a selector.

    :raises InputError: no cell matches.
    """
    cells = tuple(cell for cell in side.cells if _fits(cell, chosen))
    if not cells:
        said = ",".join(f"{name}={value}" for name, value in chosen.items())
        stacks = dict.fromkeys(cell.stack for cell in side.cells)
        names = dict.fromkeys(name for cell in side.cells for name in cell.parameters)
        raise InputError(
            f"{side.name} has no cell with {said}",
            hint=f"it has the stacks {', '.join(stacks)}"
            + (f" and the parameters {', '.join(names)}" if names else ""),
        )
    return msgspec.structs.replace(side, cells=cells)


def named_apart(side: Side, chosen: Selector) -> Side:
    """Return the side, with the selector added to its name."""
    said = ", ".join(f"{name} = {value}" for name, value in chosen.items())
    return msgspec.structs.replace(side, name=f"{side.name} ({said})") if said else side


def _fits(cell: CellSamples, chosen: Selector) -> bool:
    values = {STACK: cell.stack} | {name: str(it) for name, it in cell.parameters.items()}
    return all(values.get(name) == value for name, value in chosen.items())


def matched(cell: CellSamples, apart: frozenset[str]) -> str:
    """Return a key that is unique within a side, and equal for the partner of a cell.

    :param apart: the names that select the sides. Partners differ in them.
    """
    stack = "" if STACK in apart else cell.stack
    parameters = {
        name: value
        for name, value in cell.parameters.items()
        if name not in apart and not (STACK in apart and name.startswith(STACK_PREFIX))
    }
    return identity(stack, parameters)
