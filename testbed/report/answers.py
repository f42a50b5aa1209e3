"""Verdicts, tables of metrics with intervals, and distributions. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.numbers import number, scale, short, times
from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.registry import metric_of
from testbed.analysis.samples import Samples
from testbed.analysis.verdicts import Check
from testbed.report.blocks import Block, Figure, Fold, Grid, Line, Paragraph, Section, Table
from testbed.report.figures import RUN, Distribution, Sample
from testbed.report.plots import ecdf, strip
from testbed.report.timeline import Styles
from testbed.results.model import Cell, RunRecord, Scalar, Status

MOST_ROWS: Final = 60  # rows of one strip plot
MOST_VALUES: Final = 400  # values of a curve
MOST_GROUPS: Final = 6  # groups of distribution functions side by side
_WIDE: Final = 12  # cells that fit side by side


def verdicts(outcome: Outcome) -> Section:
    """Return the claims and their verdicts."""
    blocks: list[Block] = [Line(check.verdict, _claim(check, outcome)) for check in outcome.checks]
    blocks += [Line("left out", f"{text}: its runs were left out") for text in outcome.unjudged]
    blocks += [Paragraph(f"Note: {remark}.") for remark in outcome.remarks]
    if not outcome.checks and not outcome.unjudged:
        blocks.insert(0, Paragraph("The experiment makes no claims."))
    return Section(id="verdicts", title="Verdicts", blocks=tuple(blocks))


def results(asked: Asked, outcome: Outcome, runs: Sequence[RunRecord]) -> Section:
    """Return a table for each headline metric, and tables of the other metrics."""
    samples = Samples.of(runs)
    measured = {name for cell in outcome.cells for name in cell.metrics}
    first = [name for name in outcome.headline if name in measured]
    others = sorted(measured - {*first})
    blocks: list[Block] = [
        Paragraph(
            "Each mean has a 95 % bootstrap interval (expanded percentiles) over the repetitions "
            "that count. A single repetition has no interval."
        )
    ]
    for name in first:
        table = _table(asked, outcome, samples, name)
        long = len(table.rows) > MOST_ROWS
        blocks.append(Fold(f"{name}: {len(table.rows)} cells", (table,)) if long else table)
    if others:
        tables = tuple(_table(asked, outcome, samples, name) for name in others)
        blocks.append(Fold(f"Other metrics of the workload: {len(others)}", tables))
    derived = _others(asked, outcome, samples, measured)
    if derived is not None:
        blocks.append(Fold(f"Metrics from the probes: {len(derived.rows)}", (derived,)))
    if len(blocks) == 1:
        blocks = [Paragraph("No run counts yet, so there are no numbers.")]
    return Section(id="results", title="Results", blocks=tuple(blocks))


def distributions(figures: Sequence[Distribution]) -> Section | None:
    """Draw the values of all repetitions."""
    blocks: list[Block] = []
    for figure in figures:
        for index, part in enumerate(_parts(figure) if figure.each == RUN else ()):
            drawn = Figure(_caption(part), strip(part))
            rows = f"{part.metric}: the next {len(part.samples)} cells"
            blocks.append(drawn if not index else Fold(rows, (drawn,)))
        curves = [Figure(_shares(part), ecdf(part)) for part in functions(figure)]
        if curves:
            blocks.append(Grid(f"{figure.metric}: empirical distribution functions", (*curves,)))
    if not blocks:
        return None
    return Section(id="distributions", title="Every repetition", blocks=tuple(blocks))


def styles_of(asked: Asked) -> Styles:
    """Return the styles of the stacks, equal in all figures for any set of runs."""
    styles = Styles()
    for cell in asked.cells:
        styles.of("stack", label_of(cell))
    return styles


def sampled(
    asked: Asked, outcome: Outcome, runs: Sequence[RunRecord], styles: Styles
) -> list[Distribution]:
    """Return the distributions of the headline metrics."""
    samples = Samples.of(runs)
    found = []
    for metric in outcome.headline:
        known = metric_of(metric, asked.own)
        those = [
            Sample(
                label=label_of(cell),
                group=in_words(cell.point),
                style=styles.of("stack", label_of(cell)),
                values=tuple(values),
                mean=statistics.fmean(values) if values else None,
                interval=of.metrics[metric].interval if metric in of.metrics else None,
            )
            for of, cell in ((of, _cell(of)) for of in outcome.cells)
            for values in [samples.values(cell, metric)]
        ]
        if any(sample.values for sample in those):
            found.append(
                Distribution(
                    name=metric,
                    metric=metric,
                    unit=known.unit,
                    definition=known.definition,
                    samples=tuple(those),
                )
            )
    return found


def single(
    asked: Asked,
    runs: Sequence[RunRecord],
    samples: Sequence[Mapping[str, Sequence[float]]],
    styles: Styles,
) -> list[Distribution]:
    """Return the distributions of single latencies and delays. The runs of a cell are pooled.

    :param samples: the samples of each run, in seconds, by name.
    """
    names = dict.fromkeys(name for of in samples for name in of)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    for cell in asked.cells:
        of_cell = [
            of
            for run, of in zip(runs, samples, strict=True)
            if run.status is Status.OK and run.identity == cell.identity
        ]
        for name in names:
            values = sorted(value for of in of_cell for value in of.get(name, ()))
            if values:
                found[name].append(
                    Sample(
                        label=label_of(cell),
                        group=in_words(cell.point),
                        style=styles.of("stack", label_of(cell)),
                        values=_quantiles(values),
                        mean=statistics.fmean(values),
                    )
                )
    return [
        Distribution(
            name=f"{name}-single",
            metric=name,
            unit="s",
            definition="single values of all runs",
            samples=tuple(of),
            each="sample",
        )
        for name, of in found.items()
        if of
    ]


def _quantiles(ordered: Sequence[float]) -> tuple[float, ...]:
    """Return a subset of the sorted values that is sufficient for an equal-looking curve."""
    if len(ordered) <= MOST_VALUES:
        return tuple(ordered)
    last = len(ordered) - 1
    return tuple(ordered[round(last * index / (MOST_VALUES - 1))] for index in range(MOST_VALUES))


def label_of(cell: Cell) -> str:
    """Return the stack of a cell, with the values of its options."""
    own = {name: value for name, value in cell.parameters.items() if name not in cell.point}
    return f"{cell.stack} ({in_words(own)})" if own else cell.stack


def in_words(parameters: Mapping[str, Scalar]) -> str:
    """Return parameters in words."""
    return ", ".join(f"{name} = {value}" for name, value in parameters.items())


def _parts(figure: Distribution) -> Iterator[Distribution]:
    for start in range(0, len(figure.samples), MOST_ROWS):
        part = figure.samples[start : start + MOST_ROWS]
        yield msgspec.structs.replace(figure, samples=part)


def functions(figure: Distribution) -> Iterator[Distribution]:
    """Yield the distribution functions to draw: one for each group, or one for all groups."""
    groups: dict[str, list[Sample]] = {}
    for sample in filter(lambda each: each.values, figure.samples):
        groups.setdefault(sample.group, []).append(sample)
    if len(groups) > MOST_GROUPS:
        yield _pooled(figure, len(groups))
        return
    for group, samples in groups.items():
        if any(len(sample.values) > 2 and len({*sample.values}) > 1 for sample in samples):
            yield msgspec.structs.replace(figure, samples=tuple(samples), note=group)


def _pooled(figure: Distribution, groups: int) -> Distribution:
    """Pool the samples of each stack."""
    of: dict[str, list[Sample]] = {}
    for sample in filter(lambda each: each.values, figure.samples):
        of.setdefault(sample.label, []).append(sample)
    samples = []
    for label, parts in of.items():
        values = tuple(value for part in parts for value in part.values)
        samples.append(
            Sample(
                label=label,
                group="",
                style=parts[0].style,
                values=values,
                mean=statistics.fmean(values),
            )
        )
    note = f"the runs of all {groups} combinations of parameters together"
    return msgspec.structs.replace(figure, samples=tuple(samples), note=note)


def _caption(figure: Distribution) -> str:
    return (
        f"{figure.metric}: {figure.definition}. Each dot is one {figure.each}; the vertical line "
        "is the mean, the bar its 95 % interval."
    )


def _shares(figure: Distribution) -> str:
    of = f" ({figure.note})" if figure.note else ""
    return f"Share of {figure.each}s with at most this {figure.metric}{of}."


def _claim(check: Check, outcome: Outcome) -> str:
    seen = "no run measured it"
    if check.value is not None:
        seen = number(check.metric, check.value, check.interval, outcome.own)
    where = f" (with {in_words(check.parameters)})" if check.parameters else ""
    return f"{check.text}{where}: {seen}" + (f"; {check.why}" if check.why else "")


def _cell(of: CellOutcome) -> Cell:
    return Cell(stack=of.stack, parameters=of.parameters)


def _table(asked: Asked, outcome: Outcome, samples: Samples, metric: str) -> Table:
    """Return the table of one metric. All its numbers have the same unit."""
    known = metric_of(metric, asked.own)
    there = [cell for cell in outcome.cells if metric in cell.metrics]
    factor, unit = scale(known.unit, max(abs(cell.metrics[metric].mean) for cell in there))
    parameters = list(dict.fromkeys(name for cell in outcome.cells for name in cell.parameters))
    relative = metric == outcome.headline[0] and any(cell.relative for cell in outcome.cells)
    measures = [
        "runs",
        f"mean{f', {unit}' * bool(unit)}",
        "95 % interval",
        "median",
        "minimum",
        "maximum",
    ]
    measures += [f"relative to {outcome.cells[0].stack}"] * relative
    rows = []
    for cell in outcome.cells:
        row = [str(cell.parameters.get(name, "-")) for name in parameters]
        row += [cell.stack, f"{cell.ok}/{cell.planned}"]
        row += _measures(cell, samples.values(_cell(cell), metric), metric, factor)
        row += [times(cell.relative) if cell.relative else "-"] * relative
        rows.append(tuple(row))
    start = len(parameters) + 1
    better = "" if known.better == "neither" else f" ({known.better} is better)"
    return Table(
        f"{metric}: {known.definition}{better}",
        (*parameters, "stack", *measures),
        tuple(rows),
        frozenset(range(start, start + len(measures))),
    )


def _measures(
    cell: CellOutcome, values: Sequence[float], metric: str, factor: float
) -> tuple[str, ...]:
    estimate = cell.metrics.get(metric)
    if estimate is None or not values:
        return ("-",) * 5
    interval = "-"
    if estimate.interval is not None:
        low, high = (short(it / factor) for it in (estimate.interval.low, estimate.interval.high))
        interval = f"{low} to {high}"
    others = (estimate.median, min(values), max(values))
    return short(estimate.mean / factor), interval, *(short(each / factor) for each in others)


def _others(asked: Asked, outcome: Outcome, samples: Samples, shown: set[str]) -> Table | None:
    """Return the means of the other metrics, one column per cell; None with too many cells."""
    if len(outcome.cells) > _WIDE:
        return None
    of = [samples.metrics(_cell(cell)) for cell in outcome.cells]
    names = sorted({name for values in of for name in values} - shown)
    rows = []
    for name in names:
        known = metric_of(name, asked.own)
        means = [statistics.fmean(values[name]) if name in values else None for values in of]
        factor, unit = scale(known.unit, max(abs(mean) for mean in means if mean is not None))
        cells = ("-" if mean is None else short(mean / factor) for mean in means)
        rows.append((name, unit or "1", *cells))
    head = (
        f"{label_of(cell)}{f', {in_words(cell.point)}' if cell.point else ''}"
        for cell in map(_cell, outcome.cells)
    )
    numbers = frozenset(range(2, 2 + len(outcome.cells)))
    caption = (
        "Means; `testbed metrics` has the definitions, `testbed report --metrics` the intervals"
    )
    return Table(caption, ("metric", "unit", *head), tuple(rows), numbers) if rows else None
