"""The parts of a page as values: sections of paragraphs, tables, figures and text to copy."""

from __future__ import annotations

import msgspec


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """A paragraph of text."""

    text: str


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """The title of a part of a section."""

    text: str


class Line(msgspec.Struct, frozen=True, tag="line"):
    """A verdict or a status: a keyword and a text."""

    word: str
    text: str


class Table(msgspec.Struct, frozen=True, tag="table"):
    """A table. The columns in ``numbers`` are aligned to the right."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """A drawing with a caption.

    :param svg: the drawing by :mod:`testbed.report.svg`, which escapes all texts.
    :param marks: the meaning of its letters.
    """

    caption: str
    svg: str
    marks: tuple[str, ...] = ()


class Grid(msgspec.Struct, frozen=True, tag="grid"):
    """Figures side by side, if there is room."""

    caption: str
    figures: tuple[Figure, ...]


class Code(msgspec.Struct, frozen=True, tag="code"):
    """Text to copy."""

    caption: str
    text: str


class Link(msgspec.Struct, frozen=True, tag="link"):
    """A link to another page of the server."""

    text: str
    address: str


class Fold(msgspec.Struct, frozen=True, tag="fold"):
    """Blocks that the reader can unfold."""

    summary: str
    blocks: tuple[Block, ...]
    open: bool = False


Block = Paragraph | Heading | Line | Table | Figure | Grid | Code | Link | Fold


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page, with an entry in the table of contents."""

    id: str
    title: str
    blocks: tuple[Block, ...]


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a page about one result folder.

    :param facts: the most important facts, in a few words each.
    :param explorer: whether it has runs that the reader can zoom into.
    """

    id: str
    title: str
    description: str
    facts: tuple[Line, ...]
    sections: tuple[Section, ...]


def tag(block: Block) -> str:
    """Return the kind of a block, for templates."""
    return str(block.__struct_config__.tag)
