"""The parts of a page, as values: sections of paragraphs, tables, figures and text to copy."""

from __future__ import annotations

import msgspec


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """Some sentences."""

    text: str


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """The title of a part of a section."""

    text: str


class Line(msgspec.Struct, frozen=True, tag="line"):
    """A verdict, or a status: a word with a meaning and what is said."""

    word: str
    text: str


class Table(msgspec.Struct, frozen=True, tag="table"):
    """A table; a column of ``numbers`` is aligned to the right."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """A drawing.

    :param svg: made by :mod:`testbed.report.svg`, which escapes what is written in it.
    :param marks: what its letters mean.
    """

    caption: str
    svg: str
    marks: tuple[str, ...] = ()


class Grid(msgspec.Struct, frozen=True, tag="grid"):
    """Figures side by side, where there is room."""

    caption: str
    figures: tuple[Figure, ...]


class Code(msgspec.Struct, frozen=True, tag="code"):
    """Text to copy."""

    caption: str
    text: str


class Link(msgspec.Struct, frozen=True, tag="link"):
    """A link to another page of a server."""

    text: str
    address: str


class Fold(msgspec.Struct, frozen=True, tag="fold"):
    """Blocks that are shown when asked for."""

    summary: str
    blocks: tuple[Block, ...]
    open: bool = False


Block = Paragraph | Heading | Line | Table | Figure | Grid | Code | Link | Fold


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page, with a place in its table of contents."""

    id: str
    title: str
    blocks: tuple[Block, ...]


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """One result folder.

    :param facts: what matters most, in a few words each.
    :param explorer: whether it has runs to zoom into.
    """

    id: str
    title: str
    description: str
    facts: tuple[Line, ...]
    sections: tuple[Section, ...]


def tag(block: Block) -> str:
    """Return which kind of block it is, for templates."""
    return str(block.__struct_config__.tag)
