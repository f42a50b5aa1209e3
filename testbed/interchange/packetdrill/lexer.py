"""The lexer: it splits a script into words, numbers and signs, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.errors import InputError

_PATTERN: Final = re.compile(
    r"""
    (?P<skip>\s+ | //[^\n]* | \#[^\n]* | /\*.*?\*/)
  | (?P<option>^--[^\n]*)
  | (?P<shell>`[^`]*`)
  | (?P<code>%\{.*?\}%)
  | (?P<string>"[^"\n]*")
  | (?P<dots>\.\.\.)
  | (?P<hex>0x[0-9a-fA-F]+)
  | (?P<float>\d*\.\d+)
  | (?P<int>\d+)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>[-+*~<>=()\[\]{},:.|&!])
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Token(msgspec.Struct, frozen=True):
    """A token of a script.

    :param kind: ``option``, ``shell``, ``code``, ``string``, ``dots``, ``hex``, ``float``,
        ``int``, ``word``, ``sign`` or ``end``.
    :param glued: whether the token directly follows the previous one, without a space.
    """

    kind: str
    text: str
    line: int
    glued: bool


def tokens(text: str, file: str) -> Iterator[Token]:
    """Split a text into tokens. The last token has the kind ``end``.

    :raises InputError: a character begins no token.
    """
    at, line, glued = 0, 1, False
    while at < len(text):
        found = _PATTERN.match(text, at)
        if found is None:
            raise InputError(
                f"packetdrill has no such character: {text[at]!r}",
                file=file,
                line=line,
                hint="a quote or a comment may have no end",
            )
        kind, piece = str(found.lastgroup), found.group()
        if kind != "skip":
            yield Token(kind, piece, line, glued)
        glued = kind != "skip"
        line += piece.count("\n")
        at = found.end()
    yield Token("end", "the end of the script", line, glued=False)
