"""The parser of scripts (packetdrill's grammar, with the extensions for MPTCP).

The grammar is small, and the meaning of a word depends on its place: ``S.`` are flags, ``.1`` is a
time, ``9b57e9`` a cookie. So the parser has one function for each rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from testbed.document import read_text
from testbed.errors import InputError
from testbed.interchange.packetdrill.calls_grammar import read_call
from testbed.interchange.packetdrill.lexer import tokens
from testbed.interchange.packetdrill.model import (
    Assertion,
    Event,
    Kind,
    Script,
    Shell,
    Timed,
    When,
)
from testbed.interchange.packetdrill.packets_grammar import read_packet
from testbed.interchange.packetdrill.reader import Reader

_NS: Final = 1_000_000_000


def parse(path: Path | str, defines: dict[str, str] | None = None) -> Script:
    """Read a script.

    :param defines: the replacements of words (packetdrill's ``-D``).
    :raises InputError: the file cannot be read, or is no script; the error names the line.
    :raises UnsupportedError: the script has unknown events.
    """
    return parse_text(read_text(Path(path), hint="name a script"), str(path), defines)


def parse_text(text: str, file: str, defines: dict[str, str] | None = None) -> Script:
    """Parse the text of a script. ``file`` is the name of the file for errors."""
    reader = Reader(tuple(tokens(text, file)), file, defines or {})
    options: dict[str, str] = {}
    setup: list[Shell] = []
    while (token := reader.peek).kind in ("option", "shell"):
        reader.next()
        if token.kind == "shell":
            setup.append(Shell(line=token.line, text=token.text.strip("`")))
            continue
        name, _, value = token.text.split("//")[0].strip().removeprefix("--").partition("=")
        options[name] = value.strip()
    events: list[Timed] = []
    while reader.peek.kind != "end":
        events.append(_timed(reader))
    if not events and not setup:
        raise InputError("a script without events", file=file, hint="packets, calls or commands")
    return Script(file=file, options=options, setup=tuple(setup), events=tuple(events))


def _timed(reader: Reader) -> Timed:
    """Read a time and an event. Without a time it immediately follows the previous event."""
    if reader.peek.kind in ("shell", "code"):
        return Timed(When(Kind.RELATIVE), _event(reader))
    return Timed(_when(reader), _event(reader))


def _when(reader: Reader) -> When:
    if reader.take("*"):
        return When(Kind.ANY)
    kind = Kind.RELATIVE if reader.take("+") else Kind.ABSOLUTE
    at = _ns(reader)
    if reader.take("~"):
        reader.take("+")
        return When(kind, at, until=_ns(reader))
    if reader.peek.kind == "dots":
        reader.next()
        reader.take("+")
        return When(kind, at, ends=_ns(reader))
    return When(kind, at)


def _ns(reader: Reader) -> int:
    token = reader.next()
    if token.kind not in ("int", "float"):
        raise reader.error("a time", token, "seconds, as +0.1, 0.1 or *")
    return round(float(token.text) * _NS)


def _event(reader: Reader) -> Event:
    token = reader.peek
    if token.kind == "shell":
        reader.next()
        return Shell(line=token.line, text=token.text.strip("`"))
    if token.kind == "code":
        reader.next()
        return Assertion(line=token.line, text=token.text[2:-2])
    if token.text in ("<", ">"):
        return read_packet(reader)
    if token.kind == "word":
        return read_call(reader)
    raise reader.error("an event", token, "a packet (< or >), a call, `commands` or %{ code }%")
