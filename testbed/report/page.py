"""The page: one self-contained HTML file, readable without a network and JavaScript.

All content of result folders is text. Jinja2 escapes it in pages, and ElementTree in drawings. The
JSON in the page has no character with a meaning in HTML. As a second defence, a
Content-Security-Policy allows only the scripts and styles whose hashes it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from testbed import __version__
from testbed.errors import PlatformError
from testbed.hints import extra
from testbed.report import blocks
from testbed.report.blocks import Article
from testbed.report.figures import Timeline
from testbed.report.listing import Entry
from testbed.text import clean

if TYPE_CHECKING:
    import jinja2

_ASSETS: Final = Path(__file__).parent / "assets"
_SCRIPTS: Final = ("uPlot.iife.min.js", "page.js")
_STYLES: Final = ("uPlot.min.css", "page.css")


class Explored(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a page that the reader can zoom into.

    :param article: the id of the article of the runs.
    """

    article: str
    runs: tuple[Timeline, ...]


def render(
    title: str,
    articles: Sequence[Article],
    explored: Sequence[Explored],
    damage: Sequence[str],
    *,
    following: bool = False,
) -> str:
    """Return the page.

    :param damage: a line for each unreadable part.
    :param following: whether the server updates the page with further runs.
    :raises PlatformError: Jinja2 is not installed.
    """
    scripts, styles = (_together(names) for names in (_SCRIPTS, _STYLES))
    return _template("page.html.j2").render(
        title=title,
        version=__version__,
        articles=articles,
        damage=damage,
        data={each.article: embedded(each.runs) for each in explored if each.runs},
        script=scripts,
        style=styles,
        following=following,
        script_hash=_hash(scripts),
        style_hash=_hash(styles),
    )


def listed(
    entries: Sequence[Entry],
    total: str,
    search: str,
    filters: Mapping[str, str],
    choices: Mapping[str, Sequence[str]],
    further: Mapping[str, str],
) -> str:
    """Return the page with the list of folders.

    :param total: the number of folders, in words.
    :param filters: the selected values of the ``choices``.
    :param further: the queries of the previous and the next page.
    """
    style = _together(_STYLES)
    return _template("list.html.j2").render(
        entries=entries,
        total=total,
        search=search,
        filters=filters,
        choices=choices,
        further=further,
        style=style,
        style_hash=_hash(style),
    )


def notice(text: str) -> str:
    """Return a page with a single message."""
    style = _together(_STYLES)
    return _template("list.html.j2").render(text=text, style=style, style_hash=_hash(style))


def embedded(value: Any) -> str:
    """Return JSON that is safe in a ``script`` element. It has no ``<``, ``>`` and ``&``."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@functools.cache
def _template(name: str) -> jinja2.Template:
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError:
        raise PlatformError(
            "Jinja2 is not installed",
            why="report pages are made with it",
            instead=extra("report"),
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters["tag"] = blocks.tag
    return environment.get_template(name)


def _finalized(value: Any) -> Any:
    """Escape control characters in text that is not marked as safe."""
    return clean(value) if type(value) is str else value


@functools.cache
def _together(names: tuple[str, ...]) -> str:
    return "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
