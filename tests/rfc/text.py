"""Finds the requirements in the text of an RFC.

An RFC that numbers its requirements (RFC 9293: ``MUST-1``) has them by these numbers, each where it
is first named.  In another one each key word of RFC 2119 is a requirement.  Its id is made of its
section, the word and a count: ``3.1-MUST-4``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.rfc.rows import Section

_HEADING: Final = re.compile(
    r"(?:Appendix )?(\d+|[A-Z]|(?:\d+|[A-Z])(?:\.\d+)+)\.  (\S.*)", re.DOTALL
)
_SENTENCE: Final = re.compile(r'(?<=[.:!?])["\')]*\s+(?=[("\[]*[A-Z*])')
_WORD: Final = re.compile(
    r"\b(MUST NOT|MUST|SHALL NOT|SHALL|SHOULD NOT|SHOULD|NOT RECOMMENDED|RECOMMENDED|REQUIRED"
    r'|MAY|OPTIONAL)\b(?![-"])'
)
_NUMBER: Final = re.compile(r"\b(MUST|SHLD|MAY|REC)-\s?(\d+)\b")
_LEVELS: Final = {"MUST": "MUST", "SHLD": "SHOULD", "MAY": "MAY", "REC": "RECOMMENDED"}


class Found(NamedTuple):
    """A requirement in the text; ``digest`` is that of its sentence, white space aside."""

    id: str
    level: str
    digest: str


def sections(text: str) -> list[Section[Found]]:
    """Return the sections of an RFC that have requirements, in order, with those."""
    found: list[Section[Found]] = []
    numbered = _NUMBER.search(text) is not None
    seen: Counter[str] = Counter()
    for number, title, sentences in _parts(text):
        each = [
            requirement
            for sentence in sentences
            for requirement in (
                _numbered(sentence, seen) if numbered else _counted(sentence, number, seen)
            )
        ]
        if each:
            found.append(Section(number, title, each))
    return found


def _parts(text: str) -> Iterator[tuple[str, str, Iterator[str]]]:
    """Yield number, title and sentences of each section; the table of contents is none."""
    number, title = "", ""
    paragraphs: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        heading = _HEADING.match(paragraph.lstrip("\n"))
        if heading:
            yield number, title, _sentences(paragraphs)
            number, title = heading[1], " ".join(heading[2].split())
            paragraphs = []
        else:
            paragraphs.append(paragraph)
    yield number, title, _sentences(paragraphs)


def _sentences(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from _SENTENCE.split(" ".join(paragraph.split()))


def _counted(sentence: str, section: str, seen: Counter[str]) -> Iterator[Found]:
    """Yield what the key words of a sentence ask for; one in quotes is only spoken of."""
    for word in _WORD.finditer(sentence):
        if sentence[: word.start()].endswith('"'):
            continue
        name = f"{section}-{word[1].replace(' ', '-')}"
        seen[name] += 1
        yield Found(f"{name}-{seen[name]}", word[1], _digest(sentence))


def _numbered(sentence: str, seen: Counter[str]) -> Iterator[Found]:
    for number in _NUMBER.finditer(sentence):
        name = f"{number[1]}-{number[2]}"
        seen[name] += 1
        if seen[name] == 1:
            words = _WORD.findall(sentence, 0, number.start())
            level = words[-1] if words else _LEVELS[number[1]]
            yield Found(name, level, _digest(sentence))


def _digest(sentence: str) -> str:
    return hashlib.sha256(sentence.encode()).hexdigest()[:8]
