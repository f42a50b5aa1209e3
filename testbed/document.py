"""YAML documents: read once, checked against a type, every mistake named by file, line and path.

The scalars follow the core schema of YAML 1.2 (section 10.3): ``no`` and ``1:30`` are text, not a
boolean and a number of seconds.  There are no merge keys and no tags; anchors and aliases work.

A *path* names one place in a document, as in ``links.wifi.netem.delay``, ``events[0].at`` or, where
a key itself holds a dot, ``nodes.client.sysctls."net.ipv4.tcp_rmem"``.
"""

from __future__ import annotations

import difflib
import enum
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec
import yaml

from testbed.errors import InputError

T = TypeVar("T")

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_VALUES: Final = 500_000  # after aliases are followed: stops a "billion laughs"
MAX_DEPTH: Final = 32

Data = None | bool | int | float | str | list["Data"] | dict[str, "Data"]

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT: Final = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PATH: Final = re.compile(r'\.?(?:"(?P<quoted>[^"]*)"|\[(?P<index>\d+)\]|(?P<plain>[^.\[\]"]+))')


class Positions:
    """Where each path of a document stands."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines

    def line(self, path: str) -> int | None:
        """Return the line, from 1, of ``path`` or of the nearest value that encloses it."""
        keys = split_path(path)
        for end in range(len(keys), -1, -1):
            line = self._lines.get(join_path(*keys[:end]))
            if line is not None:
                return line
        return None


class Document(Generic[T]):
    """A checked value together with the text it came from.

    ``raw`` is the plain data, ``name`` the file, for messages.
    """

    __slots__ = ("name", "positions", "raw", "value")

    def __init__(self, value: T, raw: Data, name: str, positions: Positions) -> None:
        self.value = value
        self.raw = raw
        self.name = name
        self.positions = positions

    def error(self, message: str, path: str = "", hint: str | None = None) -> InputError:
        """Return (not raise) the error that names ``path`` in this document."""
        return InputError(
            message, file=self.name, line=self.positions.line(path), path=path or None, hint=hint
        )


def load(path: Path, as_type: type[T]) -> Document[T]:
    """Read the YAML file at ``path``.  Whatever is wrong with it is an InputError."""
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=name) from error
    return loads(content, as_type, name)


def loads(text: str | bytes, as_type: type[T], name: str) -> Document[T]:
    """Read YAML ``text``; ``name`` stands for the file in messages."""
    raw, positions = parse(text, name)
    return convert(raw, as_type, positions, name)


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


def convert(raw: Data, as_type: type[T], positions: Positions, name: str) -> Document[T]:
    """Check plain data against a type.

    An InputError raised by a ``__post_init__`` is given file, line and path too.
    """
    try:
        value = msgspec.convert(raw, as_type)
    except (msgspec.ValidationError, InputError):
        error = next(_mistakes(raw, as_type, ()), None)
        if error is None:
            raise
        keys, found = error
        path = join_path(*keys)
        raise InputError(
            found.message,
            file=name,
            line=positions.line(path),
            path=path or None,
            hint=found.hint,
        ) from None
    return Document(value, raw, name, positions)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint that names the known word nearest to ``word``, or all of them."""
    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not candidates:
        return "nothing is known here"
    shown = ", ".join(candidates[:12])
    return f"known: {shown}" + (", ..." if len(candidates) > 12 else "")


def join_path(*keys: str | int) -> str:
    """Write keys as a path; the inverse of :func:`split_path`."""
    parts: list[str] = []
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
            continue
        quoted = f'"{key}"' if not key or any(c in '.[]"' for c in key) else key
        parts.append(f".{quoted}" if parts else quoted)
    return "".join(parts)


def split_path(path: str) -> tuple[str | int, ...]:
    """Read a path into its keys; a list index becomes an ``int``."""
    keys: list[str | int] = []
    at = 0
    while at < len(path):
        match = _PATH.match(path, at)
        if match is None:
            raise InputError(f"{path!r} is not a path", hint='write a.b, a[0] or a."key.with.dots"')
        index = match["index"]
        keys.append(int(index) if index is not None else match["quoted"] or match["plain"] or "")
        at = match.end()
    return tuple(keys)


class _Builder:
    """Turns YAML events into plain data, and notes the line of every path.

    Events rather than PyYAML's nodes: they cost less, and depth, duplicate keys and the size of
    what aliases stand for are seen while reading, before anything has grown.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self._anchors: dict[str, tuple[Data, int]] = {}
        self._values = 0

    def build(self, events: Iterator[Any]) -> Data:
        """Read the one document that ``events`` hold."""
        data: Data = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error("holds more than one document", event, "")
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
            raise self._error(f"holds more than {MAX_VALUES} values", event, "")
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
            if key.value in data:
                first = self.lines[inner]
                raise self._error("stands here twice", key, inner, f"it is on line {first} already")
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
        if not event.implicit[0]:  # quoted, or tagged
            if event.tag is not None and event.tag != "!":
                raise self._error(f"tag {event.tag} is not allowed", event, path)
            return text
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > 40:
            return text
        if _INT.fullmatch(text):
            return int(text) if text.lstrip("+-").isdecimal() else int(text, 0)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _error(self, message: str, event: Any, path: str, hint: str | None = None) -> InputError:
        return InputError(message, file=self.name, line=_line(event), path=path or None, hint=hint)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


# ``msgspec`` names a mistake without the keys that lead to it (``$.links[...].mtu``).  So only when
# it has found one, the data is walked again beside its type to the first value that does not fit.

Keys = tuple[str | int, ...]


def _mistakes(data: Data, type_: Any, keys: Keys) -> Iterator[tuple[Keys, InputError]]:
    """Yield each value that does not fit its type, the innermost first."""
    try:
        msgspec.convert(data, type_)
    except (msgspec.ValidationError, InputError) as error:
        for step, inner, inner_type in _children(data, type_):
            if isinstance(inner, InputError):
                yield (*keys, step), inner
            else:
                yield from _mistakes(inner, inner_type, (*keys, step))
        yield keys, _in_words(error, data, type_)


def _children(data: Data, type_: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield ``(key, value, type)`` of what ``data`` holds; an unknown key has an error as value."""
    chosen = _choose(data, type_)
    if isinstance(data, dict):
        yield from _bad_tag(data, type_)
        if isinstance(chosen, type) and issubclass(chosen, msgspec.Struct):
            yield from _fields(data, chosen)
        elif typing.get_origin(chosen) is dict:
            value_type = typing.get_args(chosen)[1]
            for key, value in data.items():
                yield key, value, value_type
    elif isinstance(data, list):
        arguments = [a for a in typing.get_args(chosen) if a is not Ellipsis]
        for index, value in enumerate(data):
            if arguments:
                yield index, value, arguments[min(index, len(arguments) - 1)]


def _bad_tag(data: dict[str, Data], type_: Any) -> Iterator[tuple[str, InputError, Any]]:
    """Yield the mistake of a tag that no member of a union has."""
    configs = [
        member.__struct_config__
        for member in typing.get_args(type_)
        if isinstance(member, type) and issubclass(member, msgspec.Struct)
    ]
    tags = {str(config.tag): config.tag_field for config in configs if config.tag_field}
    for field in sorted(set(tags.values())):
        found = data.get(field)
        if field in data and found not in tags:
            yield (
                field,
                InputError(f"unknown {field} {found!r}", hint=nearest(str(found), tags)),
                None,
            )


def _fields(data: dict[str, Data], struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, Any]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    tag_field = struct.__struct_config__.tag_field
    known = [*fields, *([tag_field] if tag_field else [])]
    for key, value in data.items():
        if key in fields:
            yield key, value, fields[key].type
        elif key not in known:
            yield key, InputError("unknown key", hint=nearest(key, known)), None


def _choose(data: Data, type_: Any) -> Any:
    """Return the member of a union that ``data`` was meant to be: by its shape and its tag."""
    while typing.get_origin(type_) is typing.Annotated:
        type_ = typing.get_args(type_)[0]
    if typing.get_origin(type_) not in (typing.Union, types.UnionType):
        return type_
    members = [_choose(data, member) for member in typing.get_args(type_)]
    wanted = [member for member in members if _has_shape(data, member)]
    tagged = [member for member in wanted if _has_tag(data, member)]
    return (tagged or wanted or [None])[0]


def _has_shape(data: Data, type_: Any) -> bool:
    origin = typing.get_origin(type_) or type_
    if not isinstance(origin, type):
        return False
    if isinstance(data, dict):
        return issubclass(origin, (dict, msgspec.Struct))
    return isinstance(data, list) and issubclass(origin, (list, tuple))


def _has_tag(data: Data, type_: Any) -> bool:
    config = getattr(type_, "__struct_config__", None)
    return (
        isinstance(data, dict)
        and config is not None
        and config.tag_field is not None
        and data.get(config.tag_field) == config.tag
    )


_NAMES: Final = {"object": "a mapping", "array": "a list", "str": "text", "int": "a whole number"}
_NAMES_TOO: Final = {"bool": "true or false", "float": "a number", "null": "nothing"}


def _in_words(error: msgspec.ValidationError | InputError, data: Data, type_: Any) -> InputError:
    if isinstance(error, InputError):
        return error
    message = re.sub(r" - at `[^`]*`$", "", str(error))
    message = re.sub(r"^Object missing required field `(.*)`$", r"lacks the key '\1'", message)

    def word(match: re.Match[str]) -> str:
        kinds = match[1].split(" | ")
        names = [_NAMES.get(kind) or _NAMES_TOO.get(kind) or kind for kind in kinds]
        return " or ".join(names)

    message = re.sub(r"`([^`]*)`", word, message)
    hint = nearest(data, _choices(type_)) if isinstance(data, str) and _choices(type_) else None
    return InputError(message[:1].lower() + message[1:], hint=hint)


def _choices(type_: Any) -> list[str]:
    """Return the words that a value of an enum or of literals may be."""
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return [str(member.value) for member in type_]
    if typing.get_origin(type_) is typing.Literal:
        return [str(value) for value in typing.get_args(type_)]
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return [word for member in typing.get_args(type_) for word in _choices(member)]
    return []
