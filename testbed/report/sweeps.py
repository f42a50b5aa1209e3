"""Metrics over numeric parameters of the matrix, with one line for each stack. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from testbed.analysis.asked import Asked
from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.registry import metric_of
from testbed.errors import InputError
from testbed.report.answers import in_words, label_of
from testbed.report.blocks import Block, Figure, Fold, Grid, Paragraph, Section
from testbed.report.figures import Line, Point, Sweep
from testbed.report.plots import sweep
from testbed.report.timeline import Styles
from testbed.results.model import Cell, Scalar
from testbed.units import parse_percent, parse_rate, parse_size, parse_time

MOST: Final = 12  # figures of one metric over one parameter
_WIDE: Final = 30  # the ratio of largest to smallest value that makes the axis logarithmic
_LEAST: Final = 2  # values of a parameter that a line needs
_Parser = Callable[[str], float]
_PARSERS: Final[tuple[_Parser, ...]] = (
    float,
    lambda text: parse_time(text) / 1e9,
    parse_rate,
    parse_percent,
    parse_size,
)


def swept(asked: Asked, outcome: Outcome, styles: Styles) -> list[Sweep]:
    """Return each headline metric over each numeric parameter.

    There is one figure for each combination of the other parameters.
    """
    return [
        figure
        for metric in outcome.headline
        for name, places in _numeric(asked).items()
        for figure in _over(asked, outcome, styles, metric, name, places)
    ]


def over_parameters(figures: Sequence[Sweep]) -> Section | None:
    """Draw sweeps. Those that differ in other parameters are side by side, on the same axes."""
    blocks: list[Block] = []
    families: dict[tuple[str, str], list[Sweep]] = {}
    for figure in figures:
        families.setdefault((figure.metric, figure.parameter), []).append(figure)
    opened: set[str] = set()
    for (metric, name), of in families.items():
        drawn = tuple(Figure(each.title, sweep(each), tuple(_holes(each))) for each in shown(of))
        title = f"{metric} over {name}"
        grid = Grid(f"{title}, on the same axes", drawn)
        left = len(of) - len(drawn)
        note = f"{left} more combinations of the other parameters are in the tables below."
        inner: list[Block] = [grid, *[Paragraph(note)] * (left > 0)]
        blocks.append(Fold(title, tuple(inner), metric not in opened))
        opened.add(metric)
    if not blocks:
        return None
    reading = "A dot is the mean of the repetitions that count, the bar its 95 % interval."
    return Section(id="sweep", title="Over the parameters", blocks=(Paragraph(reading), *blocks))


def shown(of: Sequence[Sweep]) -> Sequence[Sweep]:
    """Return the figures to draw of those of one metric over one parameter."""
    return of[:MOST]


def _numeric(asked: Asked) -> dict[str, dict[Scalar, float]]:
    """Return the numeric parameters, those with most values first."""
    found: dict[str, dict[Scalar, float]] = {}
    for name in dict.fromkeys(name for cell in asked.cells for name in cell.point):
        values = list(dict.fromkeys(cell.point[name] for cell in asked.cells if name in cell.point))
        numbers = _numbers(values)
        if len({*numbers}) >= _LEAST:
            found[name] = dict(zip(values, numbers, strict=True))
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))


def _numbers(values: Sequence[Scalar]) -> list[float]:
    """Convert values to numbers in one unit; return an empty list if they are no numbers."""
    if any(isinstance(value, bool) or value is None for value in values):
        return []
    for parse in _PARSERS:
        try:
            numbers = [float(parse(str(value))) for value in values]
        except (InputError, ValueError):
            continue
        return numbers if all(map(math.isfinite, numbers)) else []
    return []


def _over(
    asked: Asked,
    outcome: Outcome,
    styles: Styles,
    metric: str,
    name: str,
    places: dict[Scalar, float],
) -> list[Sweep]:
    known = metric_of(metric, asked.own)
    groups: dict[str, dict[str, list[Point]]] = {}
    for of in outcome.cells:
        cell = Cell(stack=of.stack, parameters=of.parameters)
        if name not in cell.point:
            continue
        others = {key: value for key, value in cell.point.items() if key != name}
        lines = groups.setdefault(in_words(others), {})
        lines.setdefault(label_of(cell), []).append(_point(of, metric, places[cell.point[name]]))
    ordered = sorted((value, str(text)) for text, value in places.items())
    measured = [p for lines in groups.values() for of_ in lines.values() for p in of_]
    if not any(point.mean is not None for point in measured):
        return []
    tops = [edge for point in measured for edge in point.edges]
    values = tuple(value for value, _ in ordered)
    return [
        Sweep(
            name=f"{metric}-over-{name}",
            metric=metric,
            unit=known.unit,
            parameter=name,
            group=group,
            values=values,
            written=tuple(text for _, text in ordered),
            logarithmic=values[0] > 0 and values[-1] >= _WIDE * values[0],
            low=min(0.0, *tops),
            high=max(tops),
            lines=tuple(
                Line(
                    name=label,
                    style=styles.of("stack", label),
                    points=tuple(sorted(points, key=lambda point: point.x)),
                )
                for label, points in lines.items()
            ),
        )
        for group, lines in groups.items()
    ]


def _point(of: CellOutcome, metric: str, x: float) -> Point:
    estimate = of.metrics.get(metric)
    if estimate is None:
        return Point(x=x, runs=of.ok, planned=of.planned)
    return Point(
        x=x, mean=estimate.mean, interval=estimate.interval, runs=of.ok, planned=of.planned
    )


def _holes(figure: Sweep) -> list[str]:
    """Describe the missing points of lines, with the reasons."""
    texts = dict(zip(figure.values, figure.written, strict=True))
    return [
        f"{line.name} at {texts[point.x]}: "
        + (f"none of its {point.runs} runs measured it" if point.runs else "no run counts")
        for line in figure.lines
        for point in line.points
        if point.mean is None
    ]
