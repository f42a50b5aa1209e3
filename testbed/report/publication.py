"""The page of a publication: claims, published and measured numbers, and figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from testbed.analysis.verdicts import Verdict
from testbed.papers import tables
from testbed.papers.judging import JudgedPaper, Word
from testbed.papers.load import Paper
from testbed.papers.measured import Measured
from testbed.papers.spec import Read, Side
from testbed.report import published_figures
from testbed.report.blocks import (
    Article,
    Block,
    Fold,
    Heading,
    Line,
    Link,
    Paragraph,
    Section,
    Table,
)
from testbed.report.page import render

_MET: Final = {
    Verdict.PASS: "met",
    Verdict.REGRESSED: "not met",
    Verdict.INCONCLUSIVE: "undecided",
}


def page_of(paper: Paper, values: Measured, found: JudgedPaper) -> str:
    """Return the page of one publication.

    :raises PlatformError: Jinja2 is not installed.
    """
    return render(paper.published.title, [article(paper, values.now(paper), found)], (), ())


def index_of(every: Sequence[JudgedPaper], pages: Mapping[str, str]) -> str:
    """Return a page with links to the pages of publications.

    :param pages: the relative address of the page of each publication.
    :raises PlatformError: Jinja2 is not installed.
    """
    rows = tuple(tables.claim_rows(every))
    links = tuple(Link(paper.title, pages[paper.name]) for paper in every)
    sections = (
        Section(id="x1-pages", title="Publications", blocks=links),
        Section(id="x1-claims", title="Claims", blocks=(Table("All claims", tables.CLAIMS, rows),)),
    )
    whole = Article(
        id="x1",
        title="Publications",
        description="Published results of Multipath TCP, and what was measured here.",
        facts=tuple(_facts(every)),
        sections=sections,
    )
    return render("Publications", [whole], (), ())


def article(paper: Paper, values: Measured, found: JudgedPaper) -> Article:
    """Return the content of the page."""
    published = paper.published
    sections = [
        Section(id="x1-claims", title="Claims", blocks=tuple(_claims(found))),
        Section(
            id="x1-figures",
            title="Figures",
            blocks=tuple(
                published_figures.drawn(paper, values, each) for each in published.figures
            ),
        ),
        Section(id="x1-values", title="Published numbers", blocks=tuple(_values(found))),
        Section(id="x1-source", title="The source", blocks=tuple(_prose(paper.source))),
        Section(
            id="x1-measured", title="What was measured", blocks=tuple(_measured(paper, values))
        ),
    ]
    return Article(
        id="x1",
        title=published.title,
        description=f"{published.authors}. {published.venue}. {published.link}",
        facts=tuple(_facts([found])),
        sections=tuple(section for section in sections if section.blocks),
    )


def _facts(every: Sequence[JudgedPaper]) -> Iterator[Line]:
    for side, words in tables.counts(every).items():
        for word, count in words.items():
            if count:
                yield Line(word, f"by {side}: {count} {'claim' if count == 1 else 'claims'}")


def _claims(found: JudgedPaper) -> Iterator[Block]:
    for claim in found.claims:
        secondary = "" if claim.claim.read is Read.LITERALLY else "; secondary"
        yield Heading(f"{claim.claim.says} ({claim.claim.where}{secondary})")
        for side in Side:
            what = claim.sides[side]
            said = what.why if what.word is Word.CANNOT else tables.seen(what.checks)
            yield Line(what.word, f"by {side}: {_plain(said)}")
            if what.word is Word.NOT:
                yield Paragraph(_plain(what.why) or "No reason is given.")
            if what.checks:
                lines = tuple(
                    Line(_MET[check.verdict], tables.check_line(check)) for check in what.checks
                )
                yield Fold(f"{claim.name}, {side}: expected and measured values", lines)


def _values(found: JudgedPaper) -> Iterator[Block]:
    rows = tuple(tables.value_rows(found))
    if rows:
        yield Table("Published, and measured here", tables.VALUES, rows)


def _prose(source: str) -> Iterator[Block]:
    """Yield the headings, tables and paragraphs of a text in Markdown."""
    for part in re.split(r"\n\s*\n", source.strip()):
        text = _plain(" ".join(part.split()))
        if part.startswith("|"):
            rows = [
                [_plain(cell.strip()) for cell in line.split("|")[1:-1]]
                for line in part.split("\n")
            ]
            yield Table("", tuple(rows[0]), tuple(map(tuple, rows[2:])))
        elif text.startswith("## "):
            yield Heading(text.lstrip("# "))
        elif text and not text.startswith("# "):
            yield Paragraph(text)


def _plain(text: str) -> str:
    """Return a text without the markup of Markdown for code and links."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("`", "")


def _measured(paper: Paper, values: Measured) -> Iterator[Block]:
    rows = tuple(
        (
            it.experiment,
            str(it.side),
            it.machine,
            it.kernel or "-",
            it.testbed,
            it.created_at,
            it.part(paper.experiments[it.experiment]) or "all cells",
        )
        for it in values.sides
    )
    head = ("experiment", "side", "machine", "kernel", "testbed", "begun", "measured")
    if rows:
        yield Table("Where the numbers come from", head, rows)
    for side in values.sides:
        wrong = tuple(
            Line("failed", f"{side.experiment}, {cell.stack} {cell.parameters or ''}: {text}")
            for cell in side.cells
            for text in cell.wrong
        )
        if wrong:
            yield Fold(f"{side.experiment}, {side.side}: {len(wrong)} runs do not count", wrong)
