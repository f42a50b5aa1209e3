"""The page of a publication: claims, published numbers beside ours, and its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from testbed.papers import tables
from testbed.papers.judging import JudgedPaper, Word
from testbed.papers.load import Paper
from testbed.papers.measured import Measured
from testbed.papers.spec import Side
from testbed.report import published_figures
from testbed.report.blocks import Article, Block, Fold, Line, Link, Paragraph, Section, Table
from testbed.report.page import render

_WORDS = {Word.REPRODUCED: "pass", Word.NOT: "regressed", Word.CANNOT: "inconclusive"}


def page_of(paper: Paper, values: Measured, found: JudgedPaper) -> str:
    """Return the page of one publication.

    :raises PlatformError: Jinja2 is not installed.
    """
    return render(paper.published.title, [article(paper, values.now(paper), found)], (), ())


def index_of(every: Sequence[JudgedPaper], pages: Mapping[str, str]) -> str:
    """Return a page that names the pages of publications.

    :param pages: where that of each is, seen from this one.
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
    """Return what the page says."""
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
        Section(id="x1-source", title="What it is", blocks=tuple(_prose(paper.source))),
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
                yield Line(_WORDS[word], f"{side}: {count} claims {word}")


def _claims(found: JudgedPaper) -> Iterator[Block]:
    for claim in found.claims:
        yield Paragraph(f"{claim.claim.says} ({claim.claim.where})")
        for side in Side:
            what = claim.sides[side]
            yield Line(_WORDS[what.word], f"{side}: {tables.judgement(what)}")
            if what.word is Word.NOT:
                yield Paragraph(what.why or "No reason is given.")
            if what.checks:
                lines = tuple(
                    Line(check.verdict, tables.check_line(check)) for check in what.checks
                )
                yield Fold(f"{claim.name}, {side}: what was expected, and what was seen", lines)


def _values(found: JudgedPaper) -> Iterator[Block]:
    rows = tuple(tables.value_rows(found))
    if rows:
        yield Table("Published, and measured here", tables.VALUES, rows)


def _prose(source: str) -> Iterator[Block]:
    """Yield the paragraphs of a text in Markdown; of its markup only blank lines count."""
    for part in re.split(r"\n\s*\n", source.strip()):
        text = " ".join(part.split())
        if text and not text.startswith("# "):
            yield Paragraph(text.lstrip("# "))


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
