"""The parser of system calls and their values."""

from __future__ import annotations

from testbed.interchange.packetdrill.model import (
    Anything,
    Call,
    Fields,
    Items,
    Made,
    Value,
    Word,
)
from testbed.interchange.packetdrill.reader import Reader


def read_call(reader: Reader) -> Call:
    """Read ``name(values) = result``, with the name of the error and a note in parentheses."""
    line = reader.peek.line
    name = reader.word("a call")
    reader.expect("(")
    arguments = _values(reader, ")")
    reader.expect("=")
    result = _value(reader)
    errno = reader.next().text if reader.peek.kind == "word" else ""
    return Call(
        line=line,
        name=name,
        arguments=arguments,
        result=result,
        errno=errno,
        note=_note(reader) if reader.take("(") else "",
    )


def _note(reader: Reader) -> str:
    """Read a note in parentheses."""
    words: list[str] = []
    while not reader.take(")"):
        if reader.peek.kind == "end":
            raise reader.error("')'", reader.peek)
        words.append(reader.next().text)
    return " ".join(words)


def _values(reader: Reader, end: str) -> tuple[Value, ...]:
    values: list[Value] = []
    while not reader.take(end):
        values.append(_value(reader))
        if not reader.take(","):
            reader.expect(end)
            break
    return tuple(values)


def _value(reader: Reader) -> Value:
    token = reader.peek
    if token.kind == "dots":
        reader.next()
        return Anything()
    if token.kind == "string":
        return reader.next().text.strip('"')
    if token.kind in ("int", "hex") or token.text == "-":
        return _sum(reader, reader.integer("a value"))
    if token.kind == "float":
        return reader.next().text
    if reader.take("["):
        return Items(_values(reader, "]"))
    if reader.take("{"):
        return _fields(reader)
    if token.kind == "word":
        return _word(reader)
    raise reader.error("a value", token)


def _sum(reader: Reader, first: int) -> int:
    """Read a size in one line, for example ``4096 * 2``."""
    line = reader.line
    while reader.peek.line == line and reader.take("*"):
        first *= reader.integer("a number")
    return first


def _word(reader: Reader) -> Value:
    """Read constants, or a function of values."""
    names = [reader.word("a name")]
    if reader.take("("):
        return Made(names[0], _values(reader, ")"))
    while reader.take("|"):
        names.append(reader.word("a constant"))
    return Word(tuple(names))


def _fields(reader: Reader) -> Fields:
    found: list[tuple[str, Value]] = []
    while not reader.take("}"):
        found.append(_field(reader, len(found)))
        if not reader.take(","):
            reader.expect("}")
            break
    return Fields(tuple(found))


def _field(reader: Reader, number: int) -> tuple[str, Value]:
    """Read ``name=value``, ``name(...)=value`` or a value without a name."""
    value = _value(reader)
    if not reader.take("="):
        return str(number), value
    if isinstance(value, Made):
        return value.name, _value(reader)
    name = value.names[0] if isinstance(value, Word) else str(number)
    return name, _value(reader)
