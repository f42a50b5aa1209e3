"""YAML documents, checked against a type. Each mistake is reported by file, line and path.

The scalars follow the core schema of YAML 1.2 (section 10.3): ``no`` and ``1:30`` are text, not a
boolean and a number of seconds.  There are no merge keys and no tags; anchors and aliases work.

A *path* names a place in a document, as in ``links.wifi.netem.delay``, ``events[0].at`` or, if a
key contains a dot, ``nodes.client.sysctls."net.ipv4.tcp_rmem"``; a ``"`` in a key is doubled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from testbed.document.mistakes import mistakes
from testbed.document.opened import (
    Open,
    is_open,
    legible_hook,
    open_hook,
    structured,
)
from testbed.document.paths import Keys, Positions, join_path, split_path
from testbed.document.reader import MAX_BYTES, Data, parse
from testbed.document.text import read_text
from testbed.document.writer import dump
from testbed.errors import InputError

__all__ = [
    "MAX_BYTES",
    "Data",
    "Document",
    "Open",
    "Positions",
    "convert",
    "dump",
    "is_open",
    "join_path",
    "load",
    "loads",
    "open_hook",
    "parse",
    "read_text",
    "split_path",
    "structured",
]

T = TypeVar("T")


class Document(Generic[T]):
    """A checked value with its source document.

    ``raw`` is the plain data; ``name`` is the file name for messages.
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
            message,
            file=self.name,
            line=self.positions.line(path),
            path=self.positions.whole(path) or None,
            hint=hint,
        )

    @contextlib.contextmanager
    def placing(self, path: str) -> Iterator[None]:
        """Report the errors that the block raises at the place ``path``."""
        try:
            yield
        except InputError as error:
            raise InputError.together(
                [self.error(each.message, path, each.hint) for each in error.every]
            ) from None


def load(path: Path, as_type: type[T]) -> Document[T]:
    """Read the YAML file at ``path``. Raises InputError for any mistake in it."""
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=name) from error
    return loads(content, as_type, name)


def loads(text: str | bytes, as_type: type[T], name: str) -> Document[T]:
    """Read YAML ``text``. ``name`` is the file name for messages."""
    raw, positions = parse(text, name)
    return convert(raw, as_type, positions, name)


def convert(
    raw: Data, as_type: type[T], positions: Positions, name: str, *, legible: bool = False
) -> Document[T]:
    """Check plain data against a type.

    File, line and path are also added to an InputError that a ``__post_init__`` raises.

    :param legible: whether the document is only displayed. Then types of packages that are not
        installed are allowed.
    """
    try:
        hook = legible_hook if legible else open_hook
        value = msgspec.convert(raw, as_type, dec_hook=hook)
    except (msgspec.ValidationError, InputError):
        found = _innermost(mistakes(raw, as_type, ()))
        if not found:
            raise
        errors = [_placed(keys, error, positions, name) for keys, error in found]
        raise InputError.together(errors) from None
    return Document(value, raw, name, positions)


def _innermost(found: Iterable[tuple[Keys, InputError]]) -> list[tuple[Keys, InputError]]:
    """Return the mistakes, except those of values that contain another mistake."""
    kept: list[tuple[Keys, InputError]] = []
    for keys, error in found:
        if not any(inner[: len(keys)] == keys for inner, _ in kept):
            kept.append((keys, error))
    return kept


def _placed(keys: Keys, error: InputError, positions: Positions, name: str) -> InputError:
    path = join_path(*keys)
    return InputError(
        error.message,
        file=name,
        line=positions.line(path),
        path=positions.whole(path) or None,
        hint=error.hint,
    )
