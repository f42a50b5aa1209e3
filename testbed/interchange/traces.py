"""The import of traces from mahimahi, CSV of other tools, iperf3 and ping.

The function :func:`read` detects the format and returns rows. :func:`as_csv` writes them as a trace
that :mod:`testbed.wire.trace` reads.
"""

from __future__ import annotations

import bisect
import csv
import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.separated import cells
from testbed.units import parse_percent, parse_rate, parse_time
from testbed.wire import trace as wires
from testbed.wire.opportunities import OPPORTUNITY
from testbed.wire.options import Delay, RandomLoss
from testbed.wire.words import write_limit

FORMATS: Final = ("mahimahi", "csv", "iperf3", "ping")

MAX_BYTES: Final = wires.MAX_BYTES
_MAX_ROWS: Final = 10**6  # more rows add no information, but fill the memory
_MAX_OPPORTUNITIES: Final = 5 * 10**6  # 64 MiB of lines hold at least as many
_MOST: Final = 1e9  # the limit of any value: 31 years, 10^15 bit/s
_LEAST_MBIT: Final = 8e-6  # the least rate of a wire; less is 0
_MS_PER_S: Final = 1000
# The names of columns in CSV of other tools, without units and punctuation.
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
_SCALES: Final = {  # units in names of columns, as multiples of our unit
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
        "mbs": 1.0,
        "kbs": 1e-3,
        "gbs": 1e3,
        "mbits": 1.0,
        "kbits": 1e-3,
        "bytes": 8e-6,
        "kbytes": 8e-3,
        "mbytes": 8.0,
        "gbytes": 8e3,
    },
    "delay_ms": {"s": 1e3, "ms": 1.0, "us": 1e-3},
    "rtt_ms": {"s": 1e3, "ms": 1.0, "us": 1e-3},
    "loss_percent": {"percent": 1.0, "pct": 1.0, "ratio": 100.0, "fraction": 100.0},
    "limit": {"packets": 1.0, "pkts": 1.0},
}
_BYTES: Final = re.compile(r"([kKMG]?)(?:B|[Bb]ytes?)(?:ps|/s|/sec)\b")
_OCTETS: Final = re.compile(r"[kmgt]?i?bps", re.IGNORECASE)
_REPLY: Final = re.compile(r"(?:\[(\d+\.\d+)\] )?.*icmp_seq=(\d{1,5}) .*time=(\d+(?:\.\d+)?) ms")
_SEQUENCES: Final = 2**16  # ICMP sequence numbers wrap after this


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The values from ``time_s`` on."""

    time_s: float
    rate_mbit: float | None = None
    delay_ms: float | None = None
    loss_percent: float | None = None
    limit: float | str | None = None


COLUMNS: Final = Row.__struct_fields__


def read(text: str, kind: str | None = None, *, step_s: float = 0.1) -> list[Row]:
    """Read the record of another program.

    :param kind: one of :data:`FORMATS`, or None to detect the format.
    :param step_s: the duration of a row of a trace of opportunities, and the interval of ping if
        its output has no times.
    :raises InputError: the text does not have the format; the error names the line if possible.
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
        rows = _played(text) or list(_csv(text))
    if not rows:
        raise InputError(f"it contains nothing of {kind}")
    for before, row in itertools.pairwise([None, *rows]):
        if row is not None:
            _check(before, row)
    return rows


def as_csv(rows: Iterable[Row], comment: str = "") -> str:
    """Write rows as a trace, with only the columns that have values."""
    rows = list(rows)
    names = [name for name in COLUMNS if any(getattr(row, name) is not None for row in rows)]
    out = io.StringIO()
    if comment:
        out.writelines(f"# {line}\n" for line in comment.splitlines())
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    last: dict[str, float | str] = {}
    for row in rows:
        last |= {name: value for name in names if (value := getattr(row, name)) is not None}
        if row.rate_mbit is not None and row.rate_mbit < _LEAST_MBIT:
            last["rate_mbit"] = 0.0
        # Missing values at the start get the first existing value.
        writer.writerow(_number(last.get(name, _first(rows, name))) for name in names)
    return out.getvalue()


def as_mahimahi(rows: list[Row]) -> str:
    """Write the rates of rows as opportunities to deliver 1500 octets.

    :raises InputError: the rows have no rate, or it is too low for one opportunity.
    """
    if any(row.rate_mbit is None for row in rows):
        raise InputError("mahimahi's traces need rates, and it has none")
    lasting = [(row.rate_mbit or 0.0, row.time_s, until_s) for row, until_s in spells(rows)]
    count = sum(rate * 1e6 / 8 / OPPORTUNITY * (end - begin) for rate, begin, end in lasting)
    if count > _MAX_OPPORTUNITIES:
        most = f"the maximum is {_MAX_OPPORTUNITIES:,}"
        raise InputError(f"it has {count:,.0f} opportunities; {most}", hint="write CSV")
    lines: list[str] = []
    credit = 0.0
    for rate, begin_s, end_s in lasting:
        begin, end = (round((each - rows[0].time_s) * _MS_PER_S) for each in (begin_s, end_s))
        per_ms = rate * 1e6 / 8 / _MS_PER_S / OPPORTUNITY
        earned = credit + per_ms * (end - begin)
        for number in range(1, int(earned) + 1):
            at = math.ceil((number - credit) / per_ms - 1e-9)
            lines.append(str(begin + max(1, min(at, end - begin))))
        credit = earned - int(earned)
    if not lines:
        raise InputError("its rate is always 0, or too low for one opportunity")
    return "\n".join(lines) + "\n"


def spells(rows: list[Row]) -> Iterator[tuple[Row, float]]:
    """Yield each row and its end. The last row lasts as long as the one before it."""
    for row, following in itertools.pairwise(rows):
        yield row, following.time_s
    last = rows[-1].time_s - rows[-2].time_s if rows[1:] else 1.0
    yield rows[-1], rows[-1].time_s + last


def _kind(text: str) -> str:
    head = text.lstrip()
    if head.startswith("{"):
        return "iperf3"
    first = next((line for line in head.splitlines() if line and not line.startswith("#")), "")
    if _is_whole(first.strip()):
        return "mahimahi"
    if "icmp_seq=" in text or first.startswith("PING "):
        return "ping"
    if "," in first or ";" in first or "\t" in first:
        return "csv"
    raise InputError("its format is not clear", hint=f"give it with --from {'|'.join(FORMATS)}")


def _mahimahi(text: str, step_s: float) -> Iterator[Row]:
    step_ms = max(1, round(step_s * _MS_PER_S))
    counts: dict[int, int] = {}
    last = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not _is_whole(line.strip()):
            raise InputError(f"{line[:20]!r} is not a time in whole ms", line=number)
        at_ms = int(line)
        if at_ms < last:
            raise InputError("times must not decrease", line=number)
        last = at_ms
        counts[max(0, at_ms - 1) // step_ms] = counts.get(max(0, at_ms - 1) // step_ms, 0) + 1
    if not last:
        return
    if last // step_ms >= _MAX_ROWS:
        raise InputError(
            f"it lasts for {last} ms, over {_MAX_ROWS:,} rows", hint="set longer rows with --step"
        )
    for step in range((last - 1) // step_ms + 1):
        lasts_ms = min(step_ms, last - step * step_ms)
        octets = counts.get(step, 0) * OPPORTUNITY
        yield Row(time_s=step * step_ms / _MS_PER_S, rate_mbit=octets * 8 / lasts_ms / 1000)


def _iperf3(text: str) -> Iterator[Row]:
    """Read ``iperf3 --json``: the rate of each interval, as seen by the receiver."""
    try:
        document: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}", line=error.lineno) from None
    except RecursionError:
        raise InputError("not output of iperf3: it is nested too deeply") from None
    hint = "write it with iperf3 --json"
    intervals = document.get("intervals") if isinstance(document, dict) else None
    if not isinstance(intervals, list):
        raise InputError("not output of iperf3: it has no intervals", hint=hint)
    for number, interval in enumerate(intervals):
        try:
            total = interval["sum"]
            yield Row(time_s=float(total["start"]), rate_mbit=total["bits_per_second"] / 1e6)
        except (KeyError, TypeError, ValueError, OverflowError):
            what = f"intervals[{number}] has no sum with start and bits_per_second"
            raise InputError(f"not output of iperf3: {what}", hint=hint) from None


def _ping(text: str, step_s: float) -> Iterator[Row]:
    """Read ping(8), best with ``-D``: half of each round trip, 100 % loss without a reply."""
    replies: dict[int, tuple[float | None, float]] = {}
    last = 0
    for line in text.splitlines():
        if found := _REPLY.match(line):
            stamp, sequence, rtt = found.groups()
            number = int(sequence) + last // _SEQUENCES * _SEQUENCES
            if number < last - _SEQUENCES // 2:  # the sequence number has wrapped
                number += _SEQUENCES
            last = max(last, number)
            replies[number] = (float(stamp) if stamp else None, float(rtt))
    if not replies:
        return
    numbers = sorted(replies)
    zero, rtt = replies[numbers[0]]
    for number in range(numbers[0], numbers[-1] + 1):
        stamp, rtt = replies.get(number, (None, rtt))
        lost = number not in replies
        at_s = (number - numbers[0]) * step_s
        if stamp is not None and zero is not None:
            at_s = stamp - zero
        elif zero is not None and lost:
            at_s = _between(replies, numbers, number) - zero
        yield Row(
            time_s=round(at_s, 6), delay_ms=round(rtt / 2, 4), loss_percent=100.0 if lost else 0.0
        )


def _between(
    replies: dict[int, tuple[float | None, float]], numbers: list[int], number: int
) -> float:
    """Return the interpolated arrival time of a missing reply."""
    at = bisect.bisect(numbers, number)
    before, after = numbers[at - 1], numbers[at]
    start, end = replies[before][0] or 0.0, replies[after][0] or 0.0
    return start + (end - start) * (number - before) / (after - before)


def _played(text: str) -> list[Row]:
    """Return the rows of a trace that is in our own format; empty if it is not."""
    try:
        trace = wires.loads(text.encode(), "trace")
    except InputError:
        return []
    if not isinstance(trace, wires.Changes):
        return []
    rows: list[Row] = []
    for step in trace.steps:
        options = step.options
        delay, loss, limit = options.get("delay"), options.get("loss"), options.get("limit")
        if delay not in (None, Delay(delay_ns=getattr(delay, "delay_ns", 0))):
            return []  # jitter
        if loss not in (None, RandomLoss(probability=getattr(loss, "probability", 0))):
            return []
        rate = options.get("rate")
        if rate is not None and rate != type(rate)(bits_per_second=rate.bits_per_second):
            return []  # overheads
        rows.append(
            Row(
                time_s=step.at_ns / 1e9,
                rate_mbit=0.0 if step.held else rate.bits_per_second / 1e6 if rate else None,
                delay_ms=delay.delay_ns / 1e6 if delay else None,
                loss_percent=loss.probability * 100 if loss else None,
                limit=write_limit(limit) if limit else None,
            )
        )
    return rows


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
    columns = [_column(name) for name in cells(header, delimiter, line=number)]
    known = [column for column in columns if column]
    names = [name for name, _ in known]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two columns give {twice}", line=number, hint="remove one of them")
    if "time_s" not in names or len(known) < 2:
        hint = "it needs columns like time_s, rate_mbit, delay_ms, rtt_ms, loss_percent"
        raise InputError(
            "the column of time is missing, or every other column", line=number, hint=hint
        )
    zero: float | None = None
    before: Row | None = None
    for number, line in lines[1:]:
        values = _values(columns, cells(line, delimiter, line=number), number)
        if zero is None:
            zero = values["time_s"]
        values["time_s"] = round(values["time_s"] - zero, 6)
        if (rtt := values.pop("rtt_ms", None)) is not None:
            values.setdefault("delay_ms", rtt / 2)
        row = Row(**values)
        try:
            _check(before, row)
        except InputError as error:
            raise InputError(error.message, line=number) from None
        yield row
        before = row


def _check(before: Row | None, row: Row) -> None:
    """Refuse values that no link can have.

    :raises InputError: a value is no number, negative or too large, or time does not increase.
    """
    for name in COLUMNS:
        value = getattr(row, name)
        most = 100.0 if name == "loss_percent" else _MOST
        if isinstance(value, float | int) and not 0 <= value <= most:  # NaN is in no range
            raise InputError(f"{name} is {value:g}, not between 0 and {most:g}")
    if before is not None and row.time_s <= before.time_s:
        raise InputError(f"times must increase: {row.time_s:g} s after {before.time_s:g} s")


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _column(name: str) -> tuple[str, float] | None:
    """Return our name and the factor for a column, or None if the column is not used."""
    spelt = _BYTES.sub(r" \1bytes ", name.strip())  # before the case of B and b is lost
    lower = spelt.lower().replace("%", " percent ").replace("/s", "s")
    words = [word for word in re.split(r"[^a-z]+", lower) if word]
    for ours, names in _NAMES.items():
        scales = _SCALES[ours]
        unit = words[-1] if len(words) > 1 and words[-1] in scales else None
        rest = "".join(words[:-1] if unit else words)
        if rest in names:
            return ours, scales[unit] if unit else 1.0
    return None


def _values(
    columns: list[tuple[str, float] | None], texts: list[str], line: int
) -> dict[str, float]:
    if len(texts) != len(columns):
        raise InputError(f"{len(texts)} values for {len(columns)} columns", line=line)
    found: dict[str, float] = {}
    for column, cell in zip(columns, texts, strict=True):
        if column is None or not cell:
            continue
        name, scale = column
        try:
            found[name] = round(_amount(name, cell, scale), 9)
        except InputError as error:
            raise InputError(error.message, line=line, hint=error.hint) from None
    if "time_s" not in found:
        raise InputError("the time is missing", line=line)
    return found


def _amount(name: str, text: str, scale: float) -> float:
    """Return a number in our unit. The text may have a unit, as in tc(8)."""
    try:
        return float(text) * scale
    except ValueError:
        pass
    if name == "rate_mbit":
        if _OCTETS.search(text):
            hint = "write it like 8mbit"
            raise InputError(f"{text!r} means octets in tc(8) and bits elsewhere", hint=hint)
        return parse_rate(text) / 1e6
    if name == "loss_percent":
        return parse_percent(text) * 100
    if name in ("time_s", "delay_ms", "rtt_ms"):
        return parse_time(text) / (1e9 if name == "time_s" else 1e6)
    raise InputError(f"{text!r} is not a number")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return format(round(value, 6), "f").rstrip("0").rstrip(".")


def _first(rows: list[Row], name: str) -> float | str:
    found: float | str = next(value for row in rows if (value := getattr(row, name)) is not None)
    return found
