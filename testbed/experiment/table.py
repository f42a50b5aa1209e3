"""Cases in a table: a CSV file with one case per line.

The first line names the columns: ``case``, then the paths that the cases set. Empty lines and lines
that begin with ``#`` are ignored.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from testbed.document import MAX_BYTES, Data, Document, convert
from testbed.errors import InputError
from testbed.results.model import Scalar

KEY: Final = "cases"
NAME: Final = "case"


def filled(read: Document[Any], folder: Path) -> Document[Any]:
    """Return the data of a file, with its table of cases, if any, read into it.

    :param folder: the folder of the file.
    :raises InputError: the table cannot be read; with its line.
    """
    raw = read.raw
    name = raw.get(KEY) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(name, str):
        return read
    with read.placing(KEY):
        content = _text(folder / name)
    cases = cast("Data", _cases(content, folder / name))
    return convert(raw | {KEY: cases}, Any, read.positions, read.name)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} is longer than {MAX_BYTES} octets")
        return content.decode()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8") from error


def _cases(content: str, path: Path) -> dict[str, dict[str, Scalar]]:
    rows = _rows(content, path)
    line, head = next(rows, (1, []))
    if len(head) < 2 or head[0] != NAME:
        message = f"the first column must be {NAME!r}, the others paths"
        raise InputError(
            message, file=path, line=line, hint="case,links.wifi.rate,links.wifi.delay"
        )
    found: dict[str, dict[str, Scalar]] = {}
    for line, row in rows:
        if len(row) != len(head):
            message = f"has {len(row)} columns, but the first line has {len(head)}"
            raise InputError(message, file=path, line=line)
        if row[0] in found:
            raise InputError(f"there is already a case {row[0]!r}", file=path, line=line)
        found[row[0]] = {
            name: _scalar(value) for name, value in zip(head[1:], row[1:], strict=True)
        }
    return found


def _rows(content: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its line."""
    reader = csv.reader(content.splitlines(), strict=True)
    try:
        for row in reader:
            if row and not row[0].startswith("#"):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise InputError(f"{error}", file=path, line=reader.line_num) from error


def _scalar(text: str) -> Scalar:
    """Return the number that the text denotes, else the text."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
