"""Traces that people have, as traces of wires: mahimahi's, CSV of other tools, iperf3, ping.

:func:`read` finds out which it is.  What comes out is rows, which :func:`as_csv` writes as a trace
that :mod:`testbed.wire.trace` reads.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.units import parse_percent, parse_rate, parse_time
from testbed.wire.opportunities import OPPORTUNITY

FORMATS: Final = ("mahimahi", "csv", "iperf3", "ping")

_MS_PER_S: Final = 1000
# How other tools call the columns of their CSV, without units and punctuation.
_NAMES: Final = {
    "time_s": ("time", "timestamp", "t", "second", "seconds", "sec", "elapsed"),
    "rate_mbit": (
        *("rate", "bandwidth", "bw", "throughput", "capacity", "bitrate", "goodput"),
        *("downlink", "download", "downloadthroughput", "downlinkthroughput"),
    ),
    "delay_ms": ("delay", "latency", "owd", "onewaydelay"),
    "rtt_ms": ("rtt", "ping", "roundtrip", "roundtriptime"),
    "loss_percent": ("loss", "plr", "packetloss", "lossrate"),
    "limit": ("limit", "queue", "buffer", "queuesize"),
}
_SCALES: Final = {  # units in names of columns, in the unit of ours
    "time_s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "rate_mbit": {
        "bit": 1e-6,
        "bps": 1e-6,
        "kbit": 1e-3,
        "kbps": 1e-3,
        "mbit": 1.0,
        "mbps": 1.0,
        "gbit": 1e3,
        "gbps": 1e3,
        "bits": 1e-6,
        "mbits": 1.0,
        "kbits": 1e-3,
    },
    "delay_ms": {"s": 1e3, "ms": 1.0, "us": 1e-3},
    "rtt_ms": {"s": 1e3, "ms": 1.0, "us": 1e-3},
    "loss_percent": {"percent": 1.0, "pct": 1.0, "ratio": 100.0, "fraction": 100.0},
    "limit": {"packets": 1.0, "pkts": 1.0},
}
_REPLY: Final = re.compile(r"(?:\[(\d+\.\d+)\] )?.*icmp_seq=(\d+) .*time=([\d.]+) ms")


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds from ``time_s`` on."""

    time_s: float
    rate_mbit: float | None = None
    delay_ms: float | None = None
    loss_percent: float | None = None
    limit: float | None = None


COLUMNS: Final = Row.__struct_fields__


def read(text: str, kind: str | None = None, *, step_s: float = 0.1) -> list[Row]:
    """Read what somebody recorded.

    :param kind: one of :data:`FORMATS`; None: it is found out.
    :param step_s: how long the rows of a trace of opportunities shall be, and how far apart the
        packets of ping were if it did not print times.
    :raises InputError: it is nothing of the kind; with the line, where there is one.
    """
    kind = kind or _kind(text)
    if kind not in FORMATS:
        raise InputError(f"there is no format {kind!r}", hint=nearest(kind, FORMATS))
    if kind == "mahimahi":
        rows = list(_mahimahi(text, step_s))
    elif kind == "iperf3":
        rows = list(_iperf3(text))
    elif kind == "ping":
        rows = list(_ping(text, step_s))
    else:
        rows = list(_csv(text))
    if not rows:
        raise InputError(f"there is nothing of {kind} in it")
    return rows


def as_csv(rows: Iterable[Row], comment: str = "") -> str:
    """Write rows as a trace; only columns that have values."""
    rows = list(rows)
    names = [name for name in COLUMNS if any(getattr(row, name) is not None for row in rows)]
    out = io.StringIO()
    if comment:
        out.writelines(f"# {line}\n" for line in comment.splitlines())
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    last: dict[str, float] = {}
    for row in rows:
        last |= {name: value for name in names if (value := getattr(row, name)) is not None}
        # A value that is missing at first is the first that there is.
        writer.writerow(_number(last.get(name, _first(rows, name))) for name in names)
    return out.getvalue()


def as_mahimahi(rows: list[Row]) -> str:
    """Write the rates of rows as opportunities to deliver 1500 octets.

    :raises InputError: they have no rate, or never any.
    """
    if any(row.rate_mbit is None for row in rows):
        raise InputError("mahimahi's traces are of rates, and there is none in it")
    lines: list[str] = []
    credit = 0.0
    for row, until_s in spells(rows):
        begin, end = round(row.time_s * _MS_PER_S), round(until_s * _MS_PER_S)
        for at_ms in range(begin, end):
            credit += (row.rate_mbit or 0.0) * 1e6 / 8 / _MS_PER_S / OPPORTUNITY
            lines += [str(at_ms - round(rows[0].time_s * _MS_PER_S) + 1)] * int(credit)
            credit -= int(credit)
    if not lines:
        raise InputError("its rate is always 0")
    return "\n".join(lines) + "\n"


def spells(rows: list[Row]) -> Iterator[tuple[Row, float]]:
    """Yield each row and when it ends; the last lasts as long as the one before it."""
    for row, following in itertools.pairwise(rows):
        yield row, following.time_s
    last = rows[-1].time_s - rows[-2].time_s if rows[1:] else 1.0
    yield rows[-1], rows[-1].time_s + last


def _kind(text: str) -> str:
    head = text.lstrip()
    if head.startswith("{"):
        return "iperf3"
    first = next((line for line in head.splitlines() if line and not line.startswith("#")), "")
    if first.strip().isdigit():
        return "mahimahi"
    if "icmp_seq=" in text or first.startswith("PING "):
        return "ping"
    if "," in first or ";" in first or "\t" in first:
        return "csv"
    raise InputError("it is not clear what this is", hint=f"--from {'|'.join(FORMATS)}")


def _mahimahi(text: str, step_s: float) -> Iterator[Row]:
    step_ms = max(1, round(step_s * _MS_PER_S))
    counts: dict[int, int] = {}
    last = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip().isdigit():
            raise InputError(f"{line[:20]!r} is not a time in whole ms", line=number)
        at_ms = int(line)
        if at_ms < last:
            raise InputError("times must not go down", line=number)
        last = at_ms
        counts[max(0, at_ms - 1) // step_ms] = counts.get(max(0, at_ms - 1) // step_ms, 0) + 1
    if not last:
        return
    for step in range((last - 1) // step_ms + 1):
        lasts_ms = min(step_ms, last - step * step_ms)
        octets = counts.get(step, 0) * OPPORTUNITY
        yield Row(time_s=step * step_ms / _MS_PER_S, rate_mbit=octets * 8 / lasts_ms / 1000)


def _iperf3(text: str) -> Iterator[Row]:
    """Read ``iperf3 --json``: the rate of each interval, what its receiver would see."""
    try:
        document: Any = json.loads(text)
        for interval in document["intervals"]:
            total = interval["sum"]
            yield Row(time_s=float(total["start"]), rate_mbit=total["bits_per_second"] / 1e6)
    except json.JSONDecodeError as error:
        raise InputError(f"no JSON: {error.msg}", line=error.lineno) from None
    except (KeyError, TypeError, ValueError) as error:
        hint = "write it with iperf3 --json"
        raise InputError(f"no output of iperf3: {error} is missing", hint=hint) from None


def _ping(text: str, step_s: float) -> Iterator[Row]:
    """Read ping(8), best with ``-D``: half of each round trip; 100 % loss where no reply came."""
    replies: dict[int, tuple[float | None, float]] = {}
    for line in text.splitlines():
        if found := _REPLY.match(line):
            stamp, number, rtt = found.groups()
            replies[int(number)] = (float(stamp) if stamp else None, float(rtt))
    if not replies:
        return
    first = min(replies)
    zero, rtt = replies[first]
    for number in range(first, max(replies) + 1):
        stamp, rtt = replies.get(number, (None, rtt))
        lost = number not in replies
        at_s = (number - first) * step_s
        if stamp is not None and zero is not None:
            at_s = stamp - zero
        elif zero is not None and lost:
            at_s = _between(replies, number) - zero
        yield Row(
            time_s=round(at_s, 6), delay_ms=round(rtt / 2, 4), loss_percent=100.0 if lost else 0.0
        )


def _between(replies: dict[int, tuple[float | None, float]], number: int) -> float:
    """Return when a reply would have come that did not, by those around it."""
    before = max(each for each in replies if each < number)
    after = min(each for each in replies if each > number)
    start, end = replies[before][0] or 0.0, replies[after][0] or 0.0
    return start + (end - start) * (number - before) / (after - before)


def _csv(text: str) -> Iterator[Row]:
    lines = [
        (number, line)
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        return
    number, header = lines[0]
    delimiter = next((each for each in ("\t", ";", ",") if each in header), ",")
    columns = [_column(name) for name in header.split(delimiter)]
    known = [column for column in columns if column]
    if "time_s" not in [name for name, _ in known] or len(known) < 2:
        hint = "it needs columns like time_s, rate_mbit, delay_ms, rtt_ms, loss_percent"
        raise InputError("no column of time, or nothing beside it", line=number, hint=hint)
    zero: float | None = None
    for number, line in lines[1:]:
        values = _values(columns, line.split(delimiter), number)
        if zero is None:
            zero = values["time_s"]
        values["time_s"] = round(values["time_s"] - zero, 6)
        if (rtt := values.pop("rtt_ms", None)) is not None:
            values.setdefault("delay_ms", rtt / 2)
        yield Row(**values)


def _column(name: str) -> tuple[str, float] | None:
    """Return ours of somebody's column, and what its values are multiplied by; None: no use."""
    lower = name.strip().lower().replace("%", " percent ").replace("/s", "s")
    words = [word for word in re.split(r"[^a-z]+", lower) if word]
    for ours, names in _NAMES.items():
        scales = _SCALES[ours]
        unit = words[-1] if len(words) > 1 and words[-1] in scales else None
        rest = "".join(words[:-1] if unit else words)
        if rest in names:
            return ours, scales[unit] if unit else 1.0
    return None


def _values(
    columns: list[tuple[str, float] | None], cells: list[str], line: int
) -> dict[str, float]:
    if len(cells) != len(columns):
        raise InputError(f"{len(cells)} values for {len(columns)} columns", line=line)
    found: dict[str, float] = {}
    for column, cell in zip(columns, cells, strict=True):
        if column is None or not cell.strip():
            continue
        name, scale = column
        try:
            found[name] = round(_amount(name, cell.strip(), scale), 9)
        except InputError as error:
            raise InputError(error.message, line=line) from None
    if "time_s" not in found:
        raise InputError("the time is missing", line=line)
    return found


def _amount(name: str, text: str, scale: float) -> float:
    """Return a number in the unit of ours; it may have a unit of its own, as in tc(8)."""
    try:
        return float(text) * scale
    except ValueError:
        pass
    if name == "rate_mbit":
        return parse_rate(text) / 1e6
    if name == "loss_percent":
        return parse_percent(text) * 100
    if name in ("time_s", "delay_ms", "rtt_ms"):
        return parse_time(text) / (1e9 if name == "time_s" else 1e6)
    raise InputError(f"{text!r} is no number")


def _number(value: float) -> str:
    return format(round(value, 6), "f").rstrip("0").rstrip(".")


def _first(rows: list[Row], name: str) -> float:
    found: float = next(value for row in rows if (value := getattr(row, name)) is not None)
    return found
