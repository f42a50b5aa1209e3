"""The runs over time, and the proof of the protocol that ran. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from testbed.records import View, ends
from testbed.report import plots
from testbed.report.answers import in_words
from testbed.report.blocks import Block, Figure, Fold, Grid, Line, Paragraph, Section, Table
from testbed.report.figures import Mark, Timeline
from testbed.report.timeline import QUANTITIES
from testbed.results.model import Cell, RunRecord, Status
from testbed.wire.netem import WireCounters

MOST_RUNS: Final = 24  # runs with curves, unless the user names runs
_LONG: Final = 40  # rows
_TOLD: Final = 30  # events of path managers listed below a figure


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The runs to show over time.

    :param groups: the runs to draw side by side, by their common parameters.
    :param note: a description of the selection.
    """

    groups: dict[str, tuple[RunRecord, ...]]
    note: str


def choose(
    runs: Sequence[RunRecord], cells: Sequence[Cell], metric: str, named: Sequence[int] = ()
) -> Chosen:
    """Choose runs to show over time.

    :param cells: the cells, in the order of the runs.
    :param metric: the metric for the median run of a cell.
    :param named: the numbers of the runs that the user named.
    """
    order = {cell.identity: index for index, cell in enumerate(cells)}
    runs = sorted(runs, key=lambda run: (order.get(run.identity, len(order)), run.number))
    if named:
        return _each([run for run in runs if run.number in named], "The runs that `--run` names.")
    if len(runs) <= MOST_RUNS:
        return _each(runs, "")
    by_cell: dict[str, list[RunRecord]] = {}
    for run in runs:
        by_cell.setdefault(run.identity, []).append(run)
    points: dict[str, list[RunRecord]] = {}
    for of in by_cell.values():
        points.setdefault(_point(of[0]), []).append(_middle(of, metric))
    shown: dict[str, tuple[RunRecord, ...]] = {}
    count = 0
    for point, of in points.items():
        if shown and count + len(of) > MOST_RUNS:
            break
        shown[point] = tuple(of)
        count += len(of)
    note = (
        f"{count} of {len(runs)} runs: for each cell the run with the median {metric}, for "
        f"{len(shown)} of {len(points)} combinations of parameters. "
        "`testbed report --run NUMBER` shows others."
    )
    return Chosen(groups=shown, note=note)


def over_time(figures: Sequence[Timeline], note: str, points: int) -> Section | None:
    """Draw runs over time. The runs of a group have the same axes."""
    if not figures:
        return None
    groups: dict[str, list[Timeline]] = {}
    for figure in figures:
        groups.setdefault(figure.group, []).append(figure)
    blocks: list[Block] = [Paragraph(each) for each in (note, _reading(points)) if each]
    for index, (group, of) in enumerate(groups.items()):
        tops = highest(of)
        end = max(figure.end for figure in of)
        drawn = tuple(
            Figure(
                f"Run {figure.run:04d}: {figure.label} ({figure.status})",
                plots.timeline(figure, tops, end),
                tuple(_explained(figure.marks)),
            )
            for figure in of
        )
        grid = Grid("Side by side, on the same axes", drawn)
        blocks.append(grid if len(groups) == 1 else Fold(group or "all", (grid,), not index))
    return Section(id="time", title="Over time", blocks=tuple(blocks))


def highest(figures: Iterable[Timeline]) -> dict[str, float]:
    """Return the upper end of the axis of each quantity over several runs, in panel order."""
    tops = dict.fromkeys(QUANTITIES, -1.0)
    for figure in figures:
        for panel in figure.panels:
            tops[panel.quantity] = max(tops[panel.quantity], panel.top)
    return {quantity: top for quantity, top in tops.items() if top >= 0}


def really_ran(runs: Sequence[RunRecord], chosen: Chosen) -> Section:
    """Return the proof of the protocol for each run, and the values read back for chosen runs."""
    rows = tuple(_row(run) for run in runs)
    parameters = any(run.parameters for run in runs)
    head = ("run", "stack", *["parameters"] * parameters, "status", "wires", "subflows")
    head += ("expected", "congestion", "busy")
    if not parameters:
        rows = tuple((*row[:2], *row[3:]) for row in rows)
    table = Table("Every run", head, rows)
    blocks: list[Block] = [
        Line(run.status, f"run {run.number:04d}, {run.stack}: {run.reason or ''}")
        for run in runs
        if run.status is not Status.OK
    ]
    if len(blocks) > _LONG:
        blocks = [Fold(f"{len(blocks)} runs that do not count, and why", tuple(blocks))]
    blocks.append(table if len(rows) <= _LONG else Fold(f"All {len(rows)} runs", (table,)))
    for run in (run for of in chosen.groups.values() for run in of):
        where = f", {in_words(run.parameters)}" if run.parameters else ""
        title = f"Run {run.number:04d}: {run.stack}{where}: values read back"
        blocks.append(Fold(title, tuple(_read_back(run))))
    return Section(id="proof", title="What really ran", blocks=tuple(blocks))


def _each(runs: Sequence[RunRecord], note: str) -> Chosen:
    groups: dict[str, list[RunRecord]] = {}
    for run in sorted(runs, key=lambda each: each.repetition):
        point = _point(run)
        name = f"{point}, " * bool(point) + f"repetition {run.repetition}"
        groups.setdefault(name, []).append(run)
    order = {name: tuple(of) for name, of in groups.items()}
    return Chosen(groups=order, note=note)


def _point(run: RunRecord) -> str:
    return in_words(Cell(stack=run.stack, parameters=run.parameters).point)


def _middle(runs: Sequence[RunRecord], metric: str) -> RunRecord:
    known = [run for run in runs if run.status is Status.OK and metric in run.metrics]
    if not known:
        return runs[0]
    return min(
        known,
        key=lambda run: abs(
            run.metrics[metric] - statistics.median(each.metrics[metric] for each in known)
        ),
    )


def _reading(points: int) -> str:
    return (
        "Goodput is the rate of acknowledged octets on each path, in equal spans of time; the line "
        "is the rate at which the application read. A curve of more than "
        f"{points} samples is thinned: each span keeps its smallest and its largest sample. If a "
        "path has several subflows, the drawing has the sum of their windows and the largest "
        "round-trip time. Letters are events; triangles are events of path managers."
    )


def _explained(marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        if mark.letter:
            yield f"{mark.letter}, {mark.t:.3f} s: {mark.text}"
    told = [mark for mark in marks if not mark.letter]
    for mark in told[:_TOLD]:
        yield f"{mark.t:.3f} s: {mark.text}"
    if len(told) > _TOLD:
        yield f"and {len(told) - _TOLD} more events of path managers"


def _row(run: RunRecord) -> tuple[str, ...]:
    expected = {
        flow.proof.expected_subflows for flow in run.flows.values() if not flow.background
    } - {None}
    return (
        f"{run.number:04d}",
        run.stack,
        in_words(run.parameters),
        run.status,
        run.engine,
        " ".join(map(str, run.subflows)) or "-",
        " ".join(map(str, sorted(filter(None, expected)))) or "-",
        " ".join(run.congestion) or "-",
        "-" if run.busy is None else f"{run.busy:.0%}",
    )


def _read_back(run: RunRecord) -> Iterator[Block]:
    for name, flow in run.flows.items():
        for end in ends(flow.details):
            yield from _socket(f"{name}, {end.node}", end.view)
        counters = _rows(flow.proof.counters)
        if counters:
            caption = f"The counters that prove {name}, with their changes"
            yield Table(caption, ("node", "counter", "change"), counters, frozenset({2}))
    used = tuple(
        (name, end, in_words(options))
        for name, stack in run.stacks.items()
        for end, options in stack.used.items()
    )
    if used:
        yield Table("What the stacks used", ("flow", "end", "options"), used)
    wires = tuple(
        (f"{wire.link}>{wire.toward}", wire.engine, wire.netem or "none", *_counted(wire.counters))
        for wire in run.wires
    )
    if wires:
        numbers = ("forwarded", "lost", "queue full", "early", "marked", "others")
        head = ("wire", "engine", "shaping at the end", *numbers)
        yield Table("The wires, read back", head, wires, frozenset(range(3, 9)))
    events = tuple(
        (event.action, *(f"{ns / 1e9:.4f}" for ns in (event.planned_ns, event.started_ns)))
        for event in run.events
    )
    if events:
        yield Table("Events", ("event", "planned, s", "began, s"), events, frozenset({1, 2}))
    yield from _folded("changed counters (nstat)", ("node", "counter", "change"), run.counters)
    yield from _folded("sysctls", ("node", "sysctl", "value"), run.sysctls)


def _counted(counters: WireCounters) -> tuple[str, ...]:
    values = (
        counters.forwarded_packets,
        counters.dropped_loss,
        counters.dropped_limit,
        counters.dropped_early,
        counters.marked,
        counters.dropped_overrun + counters.dropped_send,
    )
    return tuple(map(str, values))


def _socket(what: str, view: View) -> Iterator[Table]:
    """Yield the last state of a socket: MPTCP_INFO, and TCP_INFO of each subflow."""
    if view.mptcp_info is not None:
        said = {"fallback": view.mptcp_info.fallback} | _known(view.mptcp_info.info)
        yield _fields(f"MPTCP_INFO of {what}", {"": said})
        subflows = {
            f"{each.local} > {each.remote}": _known(each.tcp)
            for each in (*view.mptcp_info.ended, *view.mptcp_info.subflows)
        }
        if subflows:
            yield _fields(f"TCP_INFO of each subflow of {what}", subflows)
    elif view.tcp_info is not None:
        yield _fields(f"TCP_INFO of {what}", {"": _known(view.tcp_info)})


def _known(fields: msgspec.Struct) -> dict[str, object]:
    every = msgspec.structs.asdict(fields)
    return {name: value for name, value in every.items() if value is not None}


def _fields(caption: str, of: Mapping[str, Mapping[str, object]]) -> Table:
    """Return fields as rows, one column for each socket."""
    names = dict.fromkeys(name for fields in of.values() for name in fields)
    rows = tuple((name, *(str(fields.get(name, "-")) for fields in of.values())) for name in names)
    head = ("field", *(name or "value" for name in of))
    return Table(caption, head, rows, frozenset(range(1, len(head))))


def _folded(
    what: str, head: tuple[str, str, str], of: Mapping[str, Mapping[str, object]]
) -> Iterator[Fold]:
    rows = _rows(of)
    if rows:
        yield Fold(f"{len(rows)} {what}", (Table(what.capitalize(), head, rows, frozenset({2})),))


def _rows(of: Mapping[str, Mapping[str, object]]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (node, name, str(value)) for node, all_ in of.items() for name, value in all_.items()
    )
