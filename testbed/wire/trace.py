"""Traces: files with the properties of a link over time.

There are two formats. *Opportunities* are those of mahimahi (Netravali et al., USENIX ATC 2015;
mm-link(1)): one integer per line, a time in milliseconds at which the link can deliver 1500 octets
of IP packets. Times may repeat but not decrease. Unused octets of an opportunity are lost.

*Changes* are CSV (RFC 4180) with a header: ``time`` and any of ``rate``, ``delay``, ``loss`` and
``limit``. A row applies from its time to that of the next row, the last one as long as the one
before it. The name of a column may include a unit for all its values:
``time_s,rate_mbit,delay_ms,loss_percent``.

Both repeat.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.separated import cells
from testbed.wire import grammar
from testbed.wire.opportunities import OPPORTUNITY, Trace, TraceLink

__all__ = ["OPPORTUNITY", "Changes", "Step", "Trace", "TraceLink", "load", "loads"]

MAX_BYTES: Final = 64 * 2**20  # opportunities of over an hour at 10 Gbit/s
COLUMNS: Final = ("rate", "delay", "loss", "limit")
TIME: Final = "time"
HELD: Final = 0  # a rate of nothing: frames wait

_NS_PER_MS: Final = 10**6
_UNITS: Final = {"percent": "%", "packets": ""}  # how units of a header are written at a value


class Step(msgspec.Struct, frozen=True):
    """The values from a time on.

    :param options: the options by name, as in :class:`testbed.wire.netem.Netem`.
    :param held: whether the rate is 0.
    """

    at_ns: int
    options: dict[str, Any]
    held: bool = False


class Changes(msgspec.Struct, frozen=True):
    """The rows of a CSV trace. A period of 0 means a single row without an end.

    :param lines: the line of the file for each step.
    """

    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    period_ns: int
    lines: tuple[int, ...]


Loaded: TypeAlias = Trace | Changes


def load(path: str | Path) -> Loaded:
    """Read a trace file.

    :raises InputError: it cannot be read, or a line is invalid.
    """
    try:
        # The engine of the wires reads it, too: a pipe without a writer must not block the engine.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):
                raise InputError("the trace is not a regular file", file=path)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"the trace cannot be read: {error.strerror}", file=path) from None
    if len(data) > MAX_BYTES:
        raise InputError("the trace is larger than 64 MiB", file=path)
    return loads(data, path)


def loads(data: bytes, name: str | Path) -> Loaded:
    """Parse a trace from octets. ``name`` is the name of the file for messages."""
    first = data.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    is_csv = b"," in first or first.startswith((b"#", TIME.encode()))
    return _changes(data, name) if is_csv else _opportunities(data, name)


def _opportunities(data: bytes, path: str | Path) -> Trace:
    times: list[int] = []
    last = 0
    for number, line in enumerate(data.splitlines(), 1):
        if not line.isdigit() or len(line) > 12:
            text = line[:20].decode(errors="replace")
            raise InputError(f"{text!r} is not a time in whole ms", file=path, line=number)
        time_ns = int(line) * _NS_PER_MS
        if time_ns < last:
            raise InputError("times must not decrease", file=path, line=number)
        times.append(time_ns)
        last = time_ns
    if not last:
        raise InputError("the trace must last longer than 0 ms", file=path)
    return Trace(tuple(times))


def _changes(data: bytes, path: str | Path) -> Changes:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("the trace is neither numbers nor CSV in UTF-8", file=path) from None
    rows = _rows(lines, path)
    number, header = next(rows, (1, []))
    columns = [_column(name, path, number) for name in header]
    names = [name for name, _ in columns]
    if TIME not in names or len(set(names)) != len(names) or len(names) < 2:
        known = f"{TIME} and one or more of {', '.join(COLUMNS)}"
        raise InputError(f"the header must have {known}, each once", file=path, line=number)
    steps: list[Step] = []
    numbers: list[int] = []
    first_ns: int | None = None
    for number, row in rows:
        if len(row) != len(names):
            message = f"{len(row)} values for {len(names)} columns"
            raise InputError(message, file=path, line=number)
        step = _step(columns, row, path, number)
        first_ns = step.at_ns if first_ns is None else first_ns
        step = msgspec.structs.replace(step, at_ns=step.at_ns - first_ns)
        if steps and step.at_ns <= steps[-1].at_ns:
            raise InputError("times must increase", file=path, line=number)
        steps.append(step)
        numbers.append(number)
    if not steps:
        raise InputError("the trace has no rows", file=path, line=number)
    last = steps[-1].at_ns - steps[-2].at_ns if steps[1:] else 0
    return Changes(
        columns=tuple(name for name in names if name != TIME),
        steps=tuple(steps),
        period_ns=steps[-1].at_ns + last,
        lines=tuple(numbers),
    )


def _rows(lines: Sequence[str], path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and values of each line except comments (``#``) and empty ones."""
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, cells(line, file=path, line=number)


def _column(name: str, path: str | Path, line: int) -> tuple[str, str]:
    """Return the option of a column, and the unit of its values."""
    option, _, unit = name.lower().partition("_")
    if option not in (TIME, *COLUMNS):
        hint = nearest(option, (TIME, *COLUMNS))
        raise InputError(f"there is no column {name!r}", file=path, line=line, hint=hint)
    if unit.endswith("bps"):  # octets in tc, bits everywhere else
        hint = "write rate_mbit, or make a trace of it: testbed trace convert"
        message = f"{name!r} can mean bits or octets per second"
        raise InputError(message, file=path, line=line, hint=hint)
    return option, _UNITS.get(unit, unit)


def _step(
    columns: Sequence[tuple[str, str]], row: Sequence[str], path: str | Path, line: int
) -> Step:
    values: dict[str, Any] = {}
    held = False
    at_ns = 0
    for (name, unit), text in zip(columns, row, strict=True):
        written = text + unit
        try:
            if name == TIME:
                at_ns = _time(written)
            elif name == "rate" and _is_nothing(text):
                held = True
            else:
                values[name] = grammar.parse_option(name, written)
        except InputError as error:
            raise InputError(error.message, file=path, line=line, hint=error.hint) from None
    return Step(at_ns=at_ns, options=values, held=held)


def _time(text: str) -> int:
    if text.startswith("-"):
        raise InputError(f"time: {text!r} is negative")
    try:
        delay = grammar.parse_option("delay", text)
    except InputError as error:
        hint = "write the unit at the value, 0.5s, or for all of them in the header, time_s"
        raise InputError(error.message.replace("delay: ", "time: "), hint=hint) from None
    return int(delay.delay_ns)


def _is_nothing(text: str) -> bool:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    try:
        return float(number) == 0
    except ValueError:
        return False
