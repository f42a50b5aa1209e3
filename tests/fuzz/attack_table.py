"""The measured columns of the table of attacks in ``docs/security.md``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.attacks import ATTACKS, Result, ordinary_data
from tests.fuzz.target import Target

MOST_US: Final = 50.0  # limit of the time for a packet of an attack
PAGE: Final = Path(__file__).parents[2] / "docs" / "security.md"
_SUMMARY: Final = re.compile(r"(?<=<!-- tests.fuzz attacks -->\n).*?(?=<!-- end -->)", re.DOTALL)
_NEXT: Final = "## What is kept"
_COSTS: Final = 3  # the column of the costs


class Row(msgspec.Struct, frozen=True):
    """A measured attack.

    :param plain_us: what a segment of ordinary data took just before it.
    """

    result: Result
    plain_us: float

    @property
    def ratio(self) -> float:
        """The cost of a packet relative to a segment of ordinary data."""
        return self.result.cost.each / self.plain_us

    @property
    def expensive(self) -> bool:
        """Whether a packet takes more than it may."""
        return self.result.cost.each > MOST_US

    @property
    def cells(self) -> str:
        """The three numbers, as the page has them."""
        cost = self.result.cost
        return f"{cost.each:.1f}, {self.ratio:.2f}, {cost.growth:.2f}"


def report(*, write: bool) -> int:
    """Carry out all attacks and print the results; return 1 if one does harm or costs too much.

    :param write: write the numbers into the page.
    """
    rows = []
    print(f"{'us':>7} {'ratio':>6} {'growth':>6}  attack: effect")
    for attack in ATTACKS:
        row = Row(plain_us=ordinary_data(Target()).cost.each, result=attack(Target()))
        rows.append(row)
        result, cost = row.result, row.result.cost
        mark = "" if result.harmless else " (HARM)"
        mark += " (too much)" if row.expensive else ""
        figures = f"{cost.each:7.1f} {row.ratio:6.2f} {cost.growth:6.2f}"
        print(f"{figures}  {result.name}: {result.effect}{mark}", flush=True)
    print(_summary(rows), end="")
    if write:
        PAGE.write_text(rewritten(PAGE.read_text(), rows))
    return int(any(row.expensive or not row.result.harmless for row in rows))


def rewritten(page: str, rows: list[Row]) -> str:
    """Return the page with the numbers of each attack.

    :raises LookupError: an attack does not have exactly one row in the table.
    """
    page = _SUMMARY.sub(lambda _: _summary(rows), page)
    table, heading, rest = page.partition(_NEXT)
    lines = table.splitlines(keepends=True)
    for row in rows:
        found = [n for n, line in enumerate(lines) if line.startswith(f"| {row.result.name}")]
        if len(found) != 1:
            raise LookupError(f"{len(found)} rows of the page begin with {row.result.name!r}")
        cells = lines[found[0]].split(" | ")
        cells[_COSTS] = row.cells
        lines[found[0]] = " | ".join(cells)
    return "".join((*lines, heading, rest))


def _summary(rows: list[Row]) -> str:
    plain = [row.plain_us for row in rows]
    expensive = [row for row in rows if row.expensive]
    worst = max(rows, key=lambda row: row.result.cost.each)
    few = f"{len(rows) - len(expensive)} of {len(rows)} attacks cost"
    ratio = max(row.ratio for row in rows)
    growth = max(row.result.cost.growth for row in rows)
    return (
        f"A segment of ordinary data took {min(plain):.0f} to {max(plain):.0f} us.\n"
        f"{few} at most {MOST_US:.0f} us a packet. The most expensive one is\n"
        f'"{worst.result.name}" with {worst.result.cost.each:.1f} us.\n'
        f"The ratio is at most {ratio:.2f}, and the growth {growth:.2f}.\n"
    )
