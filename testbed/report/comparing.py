"""The comparison of folders with the first one, for the start of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from testbed.analysis import wording
from testbed.analysis.comparison import Terms, compare
from testbed.campaign.sides import of_folder
from testbed.errors import TestbedError
from testbed.report.blocks import Article, Block, Line, Link, Paragraph, Section, Table

_NUMBERS: Final = ("base", "new", "change", "detectable", "p")


def comparison(paths: Sequence[Path], *, force: bool = False, anyway: str | None = None) -> Article:
    """Compare folders like `testbed compare`. A refusal becomes one line of the page.

    :param force: whether to compare despite any differences.
    :param anyway: the address of the page with ``force``, if one exists.
    """
    return Article(
        id="comparison",
        title="Comparison",
        description=f"{', '.join(map(str, paths[1:]))} against {paths[0]}",
        facts=(),
        sections=(
            Section(id="changes", title="What changed", blocks=_blocks(paths, force, anyway)),
        ),
    )


def _blocks(paths: Sequence[Path], force: bool, anyway: str | None) -> tuple[Block, ...]:
    try:
        base, *news = (of_folder(path) for path in paths)
        found = compare(base, news, Terms(force=force))
    except TestbedError as error:
        how = f"With `testbed compare`: {error.hint}. " if error.hint else ""
        said = Line("refused", error.message), Paragraph(f"{how}Each folder is shown below.")
        return said if anyway is None else (*said, Link("Compare anyway", anyway))
    heads = tuple(wording.heads(found))
    rows = tuple(tuple(wording.cells(found, change)) for change in found.changes)
    numbers = frozenset(index for index, head in enumerate(heads) if head in _NUMBERS)
    blocks: list[Block] = [
        Paragraph(f"{wording.counted(found)}; {wording.explanation(found)}."),
        Table(wording.title(found), heads, rows, numbers),
    ]
    blocks += [
        Line(change.verdict, f"{wording.subject(change)}: {wording.why(change)}")
        for change in found.changes
        if change.why is not None
    ]
    blocks += [Line("warning", warning) for warning in found.warnings]
    return tuple(blocks)
