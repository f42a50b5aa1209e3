"""Writes all figures of result folders to files, with their data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from testbed.report import answers, data, paper, sweeps
from testbed.report.building import Built
from testbed.report.figures import RUN, Sweep, Timeline
from testbed.report.style import Style


def publish(built: Sequence[Built], directory: Path, style: Style) -> list[Path]:
    """Write the figures of a report.

    :param directory: the directory for the files. It is created if it does not exist. :returns: the
        files.
    :raises PlatformError: matplotlib or pyarrow is not installed.
    :raises OSError: a file cannot be written.
    """
    with paper.styled(style):
        directory.mkdir(parents=True, exist_ok=True)
        return [
            file
            for index, each in enumerate(built)
            for file in _files(each, directory, _name(each, index), style)
        ]


def _files(built: Built, directory: Path, name: str, style: Style) -> Iterator[Path]:
    for figure in built.distributions:
        path = directory / f"{name}-{_safe(figure.name)}"
        yield from data.save(data.of_distribution(figure), path)
        if figure.each == RUN:
            yield from paper.save(paper.strip(figure, style), path)
        for index, part in enumerate(answers.functions(figure), 1):
            place = path.with_name(f"{path.name}-ecdf-{index}")
            yield from paper.save(paper.ecdf(part, style), place)
    families: dict[str, list[Sweep]] = {}
    for each in built.sweeps:
        families.setdefault(each.name, []).append(each)
    for family, of in families.items():
        path = directory / f"{name}-{_safe(family)}"
        yield from data.save(data.of_sweeps(of), path)
        for index, each in enumerate(sweeps.shown(of), 1):
            yield from paper.save(paper.sweep(each, style), path.with_name(f"{path.name}-{index}"))
    groups: dict[str, list[Timeline]] = {}
    for run in built.timelines:
        groups.setdefault(run.group, []).append(run)
        path = directory / f"{name}-{run.name}"
        yield from data.save(data.of_timelines([run]), path)
        yield from paper.save(paper.over_time([run], style), path)
    for index, runs in enumerate(groups.values(), 1):
        if len(runs) > 1:
            path = directory / f"{name}-side-by-side-{index}"
            yield from paper.save(paper.over_time(runs, style), path)


def _name(built: Built, index: int) -> str:
    name = _safe(built.folder.record.name)
    return f"{name}-{index + 1}" if index else name


def _safe(name: str) -> str:
    """Convert a text to a valid file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-")[:80] or "figure"
