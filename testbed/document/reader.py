"""The YAML reader: text to plain data, with the line of every path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from testbed.document.paths import Positions, join_path
from testbed.errors import InputError

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_VALUES: Final = 500_000  # after the expansion of aliases: stops a "billion laughs"
MAX_DEPTH: Final = 32

Data = None | bool | int | float | str | list["Data"] | dict[str, "Data"]

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
INT: Final = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def parse(text: str | bytes, name: str) -> tuple[Data, Positions]:
    """Read YAML ``text`` as plain data."""
    if len(text) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES // 1024**2} MiB", file=name)
    if isinstance(text, bytes):
        content = text
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise InputError("is not UTF-8 text", file=name, line=line) from error
    builder = _Builder(name)
    try:
        raw = builder.build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.problem, error.context) if part)
        line_or_none = None if mark is None else mark.line + 1
        raise InputError(f"is not YAML: {message}", file=name, line=line_or_none) from error
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise InputError(f"is not YAML: {message}", file=name) from error
    return raw, Positions(builder.lines)


class _Builder:
    """Converts YAML events to plain data, and records the line of each path.

    It uses events and not PyYAML's nodes. Events cost less. With events, the reader checks depth,
    duplicate keys and the size of expanded aliases before the data grows.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self._anchors: dict[str, tuple[Data, int]] = {}
        self._values = 0

    def build(self, events: Iterator[Any]) -> Data:
        """Read the only document of ``events``."""
        data: Data = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error("contains more than one document", event, "")
                data = self._value(next(events), events, "", 0)
        return data

    def _value(self, event: Any, events: Iterator[Any], path: str, depth: int) -> Data:
        self.lines.setdefault(path, _line(event))
        before = self._values
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if depth > MAX_DEPTH:
            raise self._error(f"is nested deeper than {MAX_DEPTH} levels", event, path)
        data: Data
        if isinstance(event, yaml.MappingStartEvent):
            data = self._mapping(events, path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self._sequence(events, path, depth)
        else:
            data = self._scalar(event, path)
        if self._values > MAX_VALUES:
            raise self._error(f"contains more than {MAX_VALUES} values", event, "")
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (data, self._values - before)
        return data

    def _alias(self, event: Any, path: str) -> Data:
        if event.anchor not in self._anchors:
            raise self._error(f"alias *{event.anchor} has no anchor before it", event, path)
        data, values = self._anchors[event.anchor]
        self._values += values
        if self._values > MAX_VALUES:
            raise self._error(f"aliases stand for more than {MAX_VALUES} values", event, path)
        return data

    def _mapping(self, events: Iterator[Any], path: str, depth: int) -> Data:
        data: dict[str, Data] = {}
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self._error("a key must be text", key, path)
            step = join_path(key.value)
            inner = f"{path}.{step}" if path else step
            self._refuse_nul(key, inner)
            if key.value in data:
                first = self.lines[inner]
                raise self._error("appears twice", key, inner, f"it is already on line {first}")
            self.lines[inner] = _line(key)
            data[key.value] = self._value(next(events), events, inner, depth + 1)
        return data

    def _sequence(self, events: Iterator[Any], path: str, depth: int) -> Data:
        data: list[Data] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            data.append(self._value(event, events, f"{path}[{len(data)}]", depth + 1))
        return data

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> Data:
        text: str = event.value
        self._refuse_nul(event, path)
        if not event.implicit[0]:  # quoted, or tagged
            if event.tag is not None and event.tag != "!":
                raise self._error(f"tag {event.tag} is not allowed", event, path)
            return text
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > 40:
            return text
        if INT.fullmatch(text):
            return int(text) if text.lstrip("+-").isdecimal() else int(text, 0)
        return float(text) if FLOAT.fullmatch(text) else text

    def _refuse_nul(self, event: yaml.ScalarEvent, path: str) -> None:
        """Refuse text that no file, interface or argument of a program can have."""
        if "\0" in event.value:
            raise self._error("contains a NUL character", event, path)

    def _error(self, message: str, event: Any, path: str, hint: str | None = None) -> InputError:
        return InputError(message, file=self.name, line=_line(event), path=path or None, hint=hint)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
