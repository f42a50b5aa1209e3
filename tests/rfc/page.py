"""Draws the table of an RFC as a page of the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.rfc.markers import Shown
from tests.rfc.rows import ROOT, Row, Table, file_of

_TEXT: Final = """\
# {rfc}, requirement by requirement

What the stack does about each requirement of {rfc}. `scripts/rfc-tables` writes this page from
`{data}` and from the markers of the tests; a test holds them together.

- **tests**: each fails if the requirement is broken. They name it by the marker
  `@pytest.mark.requirement("{rfc}", "{example}")`.
- **notes**: where Linux differs, and why something is left out.

Of {all} requirements, {shown} have code and a test, and {reasons} a reason instead.

{sections}
"""


def path_of(table: Table) -> Path:
    """Return where the page of a table is."""
    return ROOT / "docs" / f"{_name(table)}.md"


def draw(table: Table, shown: Sequence[Shown]) -> str:
    """Return the page of a table.

    :param shown: what the tests' markers say.
    """
    tests: dict[str, list[Shown]] = {}
    for each in shown:
        if each.rfc == table.rfc:
            tests.setdefault(each.id, []).append(each)
    rows = table.rows
    met = sum(1 for row in rows if row.code and row.id in tests)
    return _TEXT.format(
        rfc=table.rfc,
        data=f"tests/rfc/{_name(table)}.yaml",
        example=rows[0].id,
        all=len(rows),
        shown=met,
        reasons=len(rows) - met,
        sections="\n\n".join(_sections(table, tests)),
    )


def _name(table: Table) -> str:
    return table.rfc.replace(" ", "").lower()


def _sections(table: Table, tests: dict[str, list[Shown]]) -> Iterator[str]:
    for section in table.sections:
        lines = [
            f"## {section.number} {section.title}",
            "",
            "| id | level | requirement | code | tests | notes |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [_line(row, tests.get(row.id, [])) for row in section.requirements]
        yield "\n".join(lines)


def _line(row: Row, tests: list[Shown]) -> str:
    code = "<br>".join(_link(each.split()[-1], file_of(each)) for each in row.code)
    shown = "<br>".join(_link(each.test, each.file) for each in tests)
    notes = " ".join(filter(None, (row.reason, row.linux and f"Linux: {row.linux}")))
    return f"| {row.id} | {row.level} | {row.says} | {code} | {shown} | {notes} |"


def _link(name: str, file: Path) -> str:
    return f"[`{name}`]({os.path.relpath(file, ROOT / 'docs')})"
