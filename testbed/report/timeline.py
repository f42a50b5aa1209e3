"""The curves of a run over time, from its records. Pure."""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from testbed.analysis.derived.observed import FlowSeen, Observed, SubflowSeen
from testbed.analysis.derived.sockets import out_of_order
from testbed.analysis.statistics import quantile
from testbed.records import PmEventRecord, Record, SocketRecord, TcpInfo, WireRecord, WorkloadRecord
from testbed.report.figures import INK, Curve, Mark, Panel, Timeline
from testbed.report.thinning import thinned
from testbed.results.model import WORKLOAD, RunRecord

BIN_S: Final = 0.1  # the interval of the probes: goodput over less time would be noise
MOST_CURVES: Final = 8  # curves of a panel
_MOMENT: Final = 7  # decimal digits of nanoseconds: 10 ms count as one moment

QUANTITIES: Final = (
    "Goodput",
    "Round-trip time",
    "Congestion window",
    "Out-of-order data",
    "Backlog of the wires",
    "Frames dropped by the wires, total",
)
_SPIKE: Final = 2.0  # times the 95th percentile: higher values are cut off
_ABOVE: Final = 1.2

_Points = list[tuple[float, float]]


class Styles:
    """Style numbers for names, per kind from 0, in the order of the first requests."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}

    def of(self, kind: str, name: str) -> int:
        """Return the number of a name, which never changes."""
        known = self._known.setdefault(kind, {})
        return known.setdefault(name, len(known))

    def prepare(self, record: RunRecord) -> None:
        """Assign numbers to paths and wires in the order of the topology.

        The wires in the direction of the data have the numbers of their links. Other wires follow.
        """
        for name, flow in record.flows.items():
            for path in flow.paths:
                self.of(
                    "path", path.link if [*record.flows] == [WORKLOAD] else f"{name}@{path.link}"
                )
        targets = {flow.target for flow in record.flows.values()}
        ahead: dict[str, tuple[tuple[bool, int], str]] = {}
        for wire in record.wires:
            weight = wire.toward in targets, wire.counters.forwarded_bytes
            ahead[wire.link] = max(
                ahead.get(wire.link, (weight, wire.toward)), (weight, wire.toward)
            )
        for link, (_, toward) in ahead.items():
            self.of("wire", f"{link}>{toward}")


def timeline(
    record: RunRecord,
    series: Iterable[Record],
    styles: Styles,
    *,
    points: int,
    name: str,
    group: str,
) -> Timeline:
    """Return the curves of a run.

    :param series: the records of the probes, in the order of time.
    :param points: the largest number of points of a curve.
    :param name: the name of the figure; ``group`` is the group of figures side by side.
    """
    observed = Observed(record, series)
    styles.prepare(record)
    end = _end(observed)
    drawing = _Drawing(observed, styles, end, points)
    panels = (
        drawing.goodput(),
        drawing.of_subflows(QUANTITIES[1], "s", _rtt, max),
        drawing.of_subflows(QUANTITIES[2], "octets", _window, sum),
        drawing.waiting(),
        drawing.of_wires(QUANTITIES[4], "octets", lambda it: it.counters.queued_bytes),
        drawing.of_wires(QUANTITIES[5], "1", _dropped),
    )
    return Timeline(
        name=name,
        group=group,
        run=record.number,
        label=record.stack,
        status=record.status,
        panels=tuple(panel for panel in panels if panel is not None),
        marks=tuple(_marks(observed, end)),
        end=end,
    )


def _end(observed: Observed) -> float:
    """Return the end of the last flow, in seconds."""
    seen = (
        each.t_ns for each in observed.series if isinstance(each, SocketRecord | WorkloadRecord)
    )
    events = (event.started_ns for event in observed.record.events)
    return max(itertools.chain(seen, events), default=max(observed.end_ns, 0)) / 1e9 or 1.0


def _marks(observed: Observed, end: float) -> Iterator[Mark]:
    for letter, event in zip(_letters(), observed.record.events, strict=False):
        why = f" (failed: {event.error})" if event.error else ""
        yield Mark(t=event.started_ns / 1e9, text=f"{event.action}{why}", letter=letter)
    for each in observed.series:
        if isinstance(each, PmEventRecord) and 0 <= each.t_ns / 1e9 <= end:
            ends = " > ".join(filter(None, (each.local, each.remote)))
            yield Mark(t=each.t_ns / 1e9, text=f"{each.node}: {each.event} {ends}".rstrip())


def _letters() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)


class _Drawing:
    """The panels of one run."""

    def __init__(self, observed: Observed, styles: Styles, end: float, points: int) -> None:
        self._observed = observed
        self._styles = styles
        self._end = end
        self._points = points
        bins = max(1, min(points // 2, round(end / BIN_S)))
        self._edges = np.linspace(0.0, end, bins + 1)

    def goodput(self) -> Panel | None:
        """Return the goodput: acknowledged data of the sender by path, and data that was read."""
        curves, over = [], []
        for flow in self._observed.flows:
            for link, subflows in _by_link(flow.sender.subflows).items():
                counted = [[(t, it.bytes_acked) for t, it in each.samples] for each in subflows]
                name = _path(flow, link)
                curves.append(self._rate(name, self._style(flow, link), counted))
            read = self._read(flow)
            if read:
                name = f"{flow.name}: " * bool(flow.name) + "read by the application"
                style = self._styles.of("path", name) if flow.name else INK
                over.append(self._rate(name, style, [read]))
        return _panel(QUANTITIES[0], "bit/s", curves, over=over, stacked=True)

    def of_subflows(
        self,
        quantity: str,
        unit: str,
        value: Callable[[TcpInfo], float | None],
        together: Callable[[Sequence[float]], float],
    ) -> Panel | None:
        """Return a quantity of the sender's subflows, with one curve for each path.

        :param together: combines the values of simultaneous subflows of a path.
        """
        curves = []
        for flow in self._observed.flows:
            for link, subflows in _by_link(flow.sender.subflows).items():
                moments: dict[int, list[float]] = {}
                for t_ns, info in (sample for each in subflows for sample in each.samples):
                    found = value(info) if info.established else None
                    if found is not None:
                        moments.setdefault(round(t_ns, -_MOMENT), []).append(found)
                points = [(t / 1e9, float(together(each))) for t, each in sorted(moments.items())]
                curves.append(self._curve(_path(flow, link), self._style(flow, link), points))
        return _panel(quantity, unit, curves)

    def waiting(self) -> Panel | None:
        """Return the octets that wait at the receivers for earlier octets of the data."""
        curves = []
        for flow in self._observed.flows:
            moments: dict[int, float] = {}
            for connection in flow.receiver.connections:
                for t_ns, octets in out_of_order(connection):
                    moment = round(t_ns, -_MOMENT)
                    moments[moment] = moments.get(moment, 0.0) + octets
            name = flow.name or "receiver"
            points = [(t / 1e9, octets) for t, octets in sorted(moments.items())]
            curves.append(self._curve(name, self._styles.of("flow", name), points))
        return _panel(QUANTITIES[3], "octets", curves)

    def of_wires(
        self, quantity: str, unit: str, value: Callable[[WireRecord], float]
    ) -> Panel | None:
        """Return a quantity of each direction of each wire, unless it is always 0."""
        curves = []
        for (link, toward), seen in self._observed.wires.items():
            points = [(max(0, each.t_ns) / 1e9, float(value(each))) for each in seen]
            if any(y for _, y in points):
                style = self._styles.of("wire", f"{link}>{toward}")
                last = points[-1][1]
                curve = [*points, (self._end, last)] if points[-1][0] < self._end else points
                curves.append(self._curve(f"{link}>{toward}", style, curve, step=True))
        return _panel(quantity, unit, curves)

    def _style(self, flow: FlowSeen, link: str | None) -> int:
        return self._styles.of("path", _path(flow, link))

    def _read(self, flow: FlowSeen) -> list[tuple[int, int | None]]:
        """Return the number of octets that a flow's receiver had read at each time."""
        node = flow.receiver.node
        reads = [
            (each.t_ns, each.received)
            for each in self._observed.series
            if isinstance(each, WorkloadRecord)
            and (each.node, each.flow or "") == (node, flow.name)
        ]
        totals = itertools.accumulate(octets for _, octets in reads)
        return [(t_ns, total) for (t_ns, _), total in zip(reads, totals, strict=True)]

    def _rate(
        self, name: str, style: int, counts: Sequence[Sequence[tuple[int, int | None]]]
    ) -> Curve:
        """Return the rate in each span of time.

        :param counts: cumulative octets at each time in nanoseconds. Several counts are added.
        """
        total = np.zeros(len(self._edges))
        for count in counts:
            known = [(t_ns / 1e9, octets) for t_ns, octets in count if octets is not None]
            if known:
                times, octets = zip(*known, strict=True)
                before = (min(0.0, times[0]), *times), (0, *octets)
                total += np.interp(self._edges, *before)
        rates = np.maximum(np.diff(total), 0) * 8 / np.diff(self._edges)
        y = [*rates, rates[-1]]  # the last rate holds until the end
        return Curve(name=name, style=style, x=_short(self._edges), y=_short(y), step=True)

    def _curve(self, name: str, style: int, points: _Points, *, step: bool = False) -> Curve:
        inside = [point for point in points if 0 <= point[0] <= self._end]
        x, y = thinned([t for t, _ in inside], [value for _, value in inside], self._points)
        return Curve(name=name, style=style, x=_short(x), y=_short(y), step=step)


def _short(values: Iterable[float]) -> tuple[float, ...]:
    """Round values to six significant digits, to keep the page small."""
    return tuple(float(f"{value:.6g}") for value in values)


def _by_link(subflows: Iterable[SubflowSeen]) -> dict[str | None, list[SubflowSeen]]:
    found: dict[str | None, list[SubflowSeen]] = {}
    for subflow in subflows:
        found.setdefault(subflow.link, []).append(subflow)
    return found


def _path(flow: FlowSeen, link: str | None) -> str:
    return f"{flow.name}@{link or '?'}" if flow.name else link or "?"


def _rtt(info: TcpInfo) -> float | None:
    return info.rtt / 1e6 if info.rtt else None


def _window(info: TcpInfo) -> float | None:
    return None if info.snd_cwnd is None else float(info.snd_cwnd * (info.snd_mss or 0))


def _dropped(record: WireRecord) -> float:
    return record.counters.dropped


def _panel(
    quantity: str,
    unit: str,
    curves: Sequence[Curve],
    *,
    over: Sequence[Curve] = (),
    stacked: bool = False,
) -> Panel | None:
    """Return a panel with the curves that have the largest values, or None without curves."""
    there = [curve for curve in curves if curve.x]
    if not there and not over:
        return None
    shown = sorted(there, key=lambda curve: -max(curve.y))[:MOST_CURVES]
    left = len(there) - len(shown)
    panel = Panel(
        quantity=quantity,
        unit=unit,  # type: ignore[arg-type]
        curves=tuple(curve for curve in there if curve in shown),
        over=tuple(over[:MOST_CURVES]),
        stacked=stacked,
        note=f"the {len(shown)} largest of {len(there)}" if left else "",
    )
    return msgspec.structs.replace(panel, limit=_limit(panel)) if stacked else panel


def _limit(panel: Panel) -> float | None:
    """Return the upper end of the axis of a rate if a few spikes would flatten all other values.

    Octets that waited for a missing octet are acknowledged and read in one moment.
    """
    sums = list(map(sum, zip(*(curve.y for curve in panel.curves), strict=True)))
    values = sorted((*sums, *(y for curve in panel.over for y in curve.y)))
    usual = quantile(values, 95)
    return usual * _ABOVE if usual > 0 and values[-1] > _SPIKE * usual else None
