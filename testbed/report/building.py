"""Builds the page of result folders and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.outcome import Outcome, outcome
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.report import answers, asking, running, sweeps
from testbed.report.blocks import Article, Line, Section
from testbed.report.comparing import comparison
from testbed.report.figures import Distribution, Sweep, Timeline
from testbed.report.page import Explored, render
from testbed.report.reading import Folder, Reader
from testbed.report.timeline import Styles, timeline

_POINTS: Final = 60_000  # the approximate number of points of all curves of a page
_CURVES: Final = 15  # the approximate number of curves of a run
_SINGLE: Final = 12  # cells up to which the distributions of single latencies are drawn
_FEWEST: Final = 60  # the fewest and the most points of a curve
_MOST: Final = 400


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The choices for a page or its figures.

    :param metrics: the metrics to show instead of the headline.
    :param runs: the numbers of the runs to show over time, instead of a selection.
    """

    metrics: tuple[str, ...] = ()
    runs: tuple[int, ...] = ()


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """One folder with all its figures."""

    folder: Folder
    outcome: Outcome
    timelines: tuple[Timeline, ...]
    distributions: tuple[Distribution, ...]
    sweeps: tuple[Sweep, ...]
    chosen: running.Chosen
    points: int


def build(paths: Sequence[Path], options: Options) -> tuple[list[Built], list[str]]:
    """Read folders; return their figures, and a line for each unreadable part.

    :raises InputError: no folder can be shown, or no folder has a requested metric or run.
    """
    reader = Reader()
    folders = [reader.folder(path, options.metrics) for path in paths]
    there = [folder for folder in folders if folder is not None]
    if not there:
        raise InputError("; ".join(reader.damage) or "there is no result folder")
    _check(there, options)
    return [_built(reader, folder, options, len(paths)) for folder in there], reader.damage


def page(
    built: Sequence[Built],
    damage: Sequence[str],
    *,
    following: bool = False,
    force: bool = False,
    anyway: str | None = None,
) -> str:
    """Return the page of the folders.

    :param following: whether the server updates the page with further runs.
    :param force: whether to compare folders despite any differences.
    :param anyway: the address of the page with ``force``, if a server has it.
    """
    articles = [_article(each, index) for index, each in enumerate(built)]
    explored = [
        Explored(article=article.id, runs=each.timelines)
        for article, each in zip(articles, built, strict=True)
    ]
    names = dict.fromkeys(each.folder.record.name for each in built)
    if len(built) > 1:
        paths = [each.folder.path for each in built]
        articles.insert(0, comparison(paths, force=force, anyway=anyway))
    return render(", ".join(names), articles, explored, damage, following=following)


def _check(folders: Sequence[Folder], options: Options) -> None:
    """Refuse metrics and runs that no folder has."""
    runs = [run for folder in folders for run in folder.runs]
    metrics = {name for run in runs for name in run.metrics}
    for name in options.metrics:
        if name not in metrics:
            hint = nearest(name, sorted(metrics))
            raise InputError(f"no run here has the metric {name!r}", hint=hint)
    numbers = {run.number for run in runs}
    for number in options.runs:
        if number not in numbers:
            raise InputError(f"there is no run {number} here")


def _built(reader: Reader, folder: Folder, options: Options, folders: int) -> Built:
    summary = outcome(folder.asked, folder.runs)
    chosen = running.choose(folder.runs, folder.asked.cells, summary.headline[0], options.runs)
    count = sum(map(len, chosen.groups.values())) * folders
    points = max(_FEWEST, min(_MOST, _POINTS // max(1, count * _CURVES)))
    styles, stacks = Styles(), answers.styles_of(folder.asked)
    timelines = tuple(
        timeline(
            run,
            reader.series(folder, run.number),
            styles,
            points=points,
            name=f"run-{run.number:04d}",
            group=group,
        )
        for group, runs in chosen.groups.items()
        for run in runs
    )
    return Built(
        folder=folder,
        outcome=summary,
        timelines=tuple(each for each in timelines if each.panels),
        distributions=(
            *answers.sampled(folder.asked, summary, folder.runs, stacks),
            *_single(reader, folder, stacks),
        ),
        sweeps=tuple(sweeps.swept(folder.asked, summary, stacks)),
        chosen=chosen,
        points=points,
    )


def _single(reader: Reader, folder: Folder, styles: Styles) -> list[Distribution]:
    if len(folder.asked.cells) > _SINGLE:
        return []
    samples = [reader.samples(folder, run.number) for run in folder.runs]
    return answers.single(folder.asked, folder.runs, samples, styles)


def _article(built: Built, index: int) -> Article:
    folder, summary = built.folder, built.outcome
    sections: list[Section | None] = [
        asking.question(folder),
        asking.topology(folder),
        answers.verdicts(summary),
        sweeps.over_parameters(built.sweeps),
        answers.results(folder.asked, summary, folder.runs),
        answers.distributions(built.distributions),
        running.over_time(built.timelines, built.chosen.note, built.points),
        running.really_ran(folder.runs, built.chosen),
        asking.environment(folder),
        asking.again(folder),
    ]
    prefix = f"x{index + 1}-"
    return Article(
        id=f"x{index + 1}",
        title=folder.record.name,
        description=summary.description,
        facts=tuple(_facts(built)),
        sections=tuple(
            msgspec.structs.replace(section, id=prefix + section.id)
            for section in sections
            if section is not None
        ),
    )


def _facts(built: Built) -> list[Line]:
    folder, summary = built.folder, built.outcome
    facts = []
    for verdict in ("regressed", "inconclusive", "pass"):
        count = sum(check.verdict == verdict for check in summary.checks)
        if count:
            facts.append(Line(verdict, f"{count} of {len(summary.checks)} claims"))
    for status in ("ok", "failed", "invalid"):
        count = sum(run.status == status for run in folder.runs)
        if count:
            facts.append(Line(status, f"{count} run{'s' * (count != 1)}"))
    if summary.missing > 0:
        facts.append(Line("to do", f"{summary.missing} runs"))
    machine = folder.environment.machine if folder.environment else "unknown"
    facts.append(Line("machine", machine))
    facts.append(Line("begun", folder.record.created_at[:19].replace("T", " ") + " UTC"))
    facts.append(Line("folder", str(folder.path)))
    return facts
