"""The summary of the finished runs of an experiment. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.registry import metric_of
from testbed.analysis.samples import SATURATED, Samples
from testbed.analysis.sequential import Looks, follow
from testbed.analysis.statistics import Estimate, Ratio, estimate, ratio
from testbed.analysis.verdicts import Check, Verdict, evaluate, unjudged
from testbed.metric import Metric, Source
from testbed.results.model import SCHEMA, Cell, RunRecord, Scalar, Status, identity


class CellOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the summary: the runs of one stack with the same parameters.

    :param planned: the number of planned runs. Those that are not counted below have not been run.
    :param metrics: the metrics of the workload and the headline, from the ``ok`` runs. The other
        metrics are in the runs: intervals for all would take seconds.
    :param subflows: the distinct numbers of subflows of its ``ok`` runs; may be empty.
    :param engines: the engines that shaped the links.
    :param congestion: the congestion controls in use.
    :param busy: how busy the machine was in the busiest ``ok`` run, from 0 to 1.
    :param relative: the first headline metric over that of the first stack; ``None`` for the first
        stack itself.
    """

    stack: str
    parameters: dict[str, Scalar]
    planned: int
    ok: int
    failed: int
    invalid: int
    metrics: dict[str, Estimate]
    subflows: tuple[int, ...]
    engines: tuple[str, ...]
    relative: Ratio | None
    busy: float = 0.0
    congestion: tuple[str, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A run that does not count, with the reason."""

    run: int
    stack: str
    parameters: dict[str, Scalar]
    status: Status
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``summary.json``.

    :param headline: the main metrics of the experiment, the most important one first.
    :param missing: the number of runs that have not been run.
    :param unjudged: the claims about runs that were left out.
    :param own: the metrics that programs of the experiment print, or that other packages added.
    :param remarks: remarks about the runs that readers of the numbers need.
    """

    schema: int = SCHEMA
    experiment: str
    description: str
    headline: tuple[str, ...]
    cells: tuple[CellOutcome, ...]
    checks: tuple[Check, ...]
    problems: tuple[Problem, ...]
    missing: int
    unjudged: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    own: dict[str, Metric] = {}

    @property
    def inconclusive(self) -> bool:
        """Whether an expectation is not decided."""
        return any(check.verdict is Verdict.INCONCLUSIVE for check in self.checks)

    @property
    def regressed(self) -> bool:
        """Whether an expectation is not met."""
        return any(check.verdict is Verdict.REGRESSED for check in self.checks)


def outcome(asked: Asked, runs: Sequence[RunRecord]) -> Outcome:
    """Summarise the runs. Some may be missing."""
    of_cell: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        of_cell[run.identity].append(run)
    samples = Samples.of(runs)
    course = None
    if asked.most is not None:
        course = follow(asked, Looks(block=asked.repetitions, most=asked.most), runs)
        asked = msgspec.structs.replace(asked, repetitions=course.repetitions)
    references = _references(asked.cells)
    return Outcome(
        experiment=asked.name,
        description=asked.description,
        headline=asked.headline,
        own=asked.own,
        cells=tuple(
            _cell(asked, cell, references[cell.identity], of_cell[cell.identity], samples)
            for cell in asked.cells
        ),
        checks=evaluate(asked, samples) if course is None else course.checks,
        unjudged=unjudged(asked),
        problems=tuple(
            Problem(
                run=run.number,
                stack=run.stack,
                parameters=run.parameters,
                status=run.status,
                reason=run.reason or "",
            )
            for run in runs
            if run.status is not Status.OK
        ),
        remarks=(*_remarks(asked, samples), *_stood_in(runs), *_unlike(runs)),
        missing=len(asked.cells) * asked.repetitions - len(runs),
    )


def _remarks(asked: Asked, samples: Samples) -> tuple[str, ...]:
    if asked.deterministic:
        return ("virtual time: these numbers do not include the time of computing",)
    busy = [cell for cell in asked.cells if samples.busy(cell) >= SATURATED]
    if not busy:
        return ()
    stacks = ", ".join(dict.fromkeys(cell.stack for cell in busy))
    remark = f"the machine's processors were always busy in runs of {stacks}"
    return (f"{remark}: they may be the limit, not the network",)


def _stood_in(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Report the fixed stacks of flows that other stacks carried."""
    said = (
        f"{stack.name} replaced the stack {stack.stands_for} of {flow}: no kernel is simulated"
        for run in runs
        for flow, stack in run.stacks.items()
        if stack.stands_for is not None
    )
    return tuple(dict.fromkeys(said))


def _unlike(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Report stacks that used different congestion controls although none was requested."""
    used: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        chosen = any("congestion" in stack.options for stack in run.stacks.values())
        if run.status is Status.OK and not chosen:
            used[run.stack].update(run.congestion)
    if len({frozenset(names) for names in used.values() if names}) < 2:
        return ()
    said = ", ".join(f"{stack} {'/'.join(sorted(names))}" for stack, names in used.items() if names)
    return (f"different congestion controls ({said}): choose one for a fair comparison",)


def _references(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return, for the identity of each cell, the first cell with the same parameters."""
    first: dict[str, Cell] = {}
    return {cell.identity: first.setdefault(identity("", cell.point), cell) for cell in cells}


def _cell(
    asked: Asked, cell: Cell, reference: Cell, runs: Sequence[RunRecord], samples: Samples
) -> CellOutcome:
    good = [run for run in runs if run.status is Status.OK]
    count = Counter(run.status for run in runs)
    own, others = (samples.values(each, asked.headline[0]) for each in (cell, reference))
    relative = None
    if cell is not reference and own and any(others):
        relative = ratio(own, [others])
    return CellOutcome(
        stack=cell.stack,
        parameters=cell.parameters,
        planned=asked.repetitions,
        ok=count[Status.OK],
        failed=count[Status.FAILED],
        invalid=count[Status.INVALID],
        metrics={
            name: estimate(values)
            for name, values in samples.metrics(cell).items()
            if name in asked.headline or metric_of(name, asked.own).source is Source.WORKLOAD
        },
        subflows=tuple(sorted({count for run in good for count in run.subflows})),
        engines=tuple(sorted({run.engine for run in runs})),
        relative=relative,
        busy=samples.busy(cell),
        congestion=tuple(sorted({name for run in good for name in run.congestion})),
    )
