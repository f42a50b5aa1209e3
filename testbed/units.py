"""Rates, times, sizes and percentages in the grammar of tc(8), section PARAMETERS.

Text becomes an exact integer (bit/s, nanoseconds, octets) or a probability from 0 to 1, and back:
``parse_x(format_x(value)) == value`` for every value. The case of units does not matter. Invalid
text is an :class:`InputError`; the caller adds the file, line and path.

One rule differs from tc(8) on purpose: a bare number is no time. tc reads it as microseconds, which
the author rarely intended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from testbed.errors import InputError

_KI: Final = 1024
_MAX: Final = 2**63 - 1  # the limit of the kernel's netlink attributes
_NUMBER: Final = re.compile(r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))([a-z%]*)")

_RATES: Final = {
    f"{prefix}{unit}": Decimal(scale * bits)
    for prefix, scale in (
        {"": 1}
        | {prefix: 1000**power for power, prefix in enumerate("kmgt", 1)}
        | {f"{prefix}i": _KI**power for power, prefix in enumerate("kmgt", 1)}
    ).items()
    for unit, bits in {"bit": 1, "bps": 8}.items()
}
_TIMES: Final = {
    name: Decimal(scale)
    for names, scale in (
        (("s", "sec", "secs"), 10**9),
        (("ms", "msec", "msecs"), 10**6),
        (("us", "usec", "usecs"), 10**3),
        (("ns", "nsec", "nsecs"), 1),
    )
    for name in names
}
_SIZES: Final = {
    name: Decimal(scale)
    for names, scale in (
        (("b",), 1),
        (("k", "kb", "kib"), _KI),
        (("m", "mb", "mib"), _KI**2),
        (("g", "gb", "gib"), _KI**3),
        (("kbit",), _KI // 8),
        (("mbit",), _KI**2 // 8),
        (("gbit",), _KI**3 // 8),
    )
    for name in names
}


def parse_rate(text: str) -> int:
    """Read a rate in bit/s: ``20mbit``, ``1.5gbit``, ``100kibit``, ``10kbps`` (octets), ``9600``.

    :raises InputError: not a rate, negative, or too large.
    """
    return _parse(text, "rate", _RATES, Decimal(1), "bit, kbit, mbit, gbit")


def parse_time(text: str) -> int:
    """Read a time in nanoseconds: ``15ms``, ``1.5s``, ``20us``, ``100ns``, ``0``.

    :raises InputError: not a time, no unit, negative, or too large.
    """
    return _parse(text, "time", _TIMES, None, "ns, us, ms, s")


def parse_size(text: str) -> int:
    """Read a size in octets: ``64kb`` (65536), ``1.5MiB``, ``20mb``, ``8kbit``, ``1500``.

    :raises InputError: not a size, negative, or too large.
    """
    return _parse(text, "size", _SIZES, Decimal(1), "b, kb, mb, gb")


def parse_percent(text: str) -> float:
    """Read a percentage as a probability: ``0.5%`` and the bare ``0.5`` are 0.005.

    :raises InputError: not a percentage, or outside 0 % to 100 %.
    """
    number, unit = _split(text, "percentage")
    if unit not in ("", "%"):
        raise InputError(f"{text!r} is not a percentage", hint="write it like 0.5%")
    if not 0 <= number <= 100:
        raise InputError(f"{text!r} is not between 0% and 100%")
    return float(number / 100)


def format_rate(bits_per_second: int) -> str:
    """Write a rate with the largest decimal unit that keeps it exact: ``20mbit``."""
    return _format(
        bits_per_second, {unit: _RATES[unit] for unit in ("gbit", "mbit", "kbit")}, "bit"
    )


def format_time(time_ns: int) -> str:
    """Write a time with the largest unit that keeps it exact: ``15ms``."""
    return _format(time_ns, {unit: _TIMES[unit] for unit in ("s", "ms", "us")}, "ns")


def format_size(octets: int) -> str:
    """Write a size with the largest unit that keeps it exact: ``64kb``."""
    return _format(octets, {unit: _SIZES[unit] for unit in ("gb", "mb", "kb")}, "b")


def format_percent(probability: float) -> str:
    """Write a probability from 0 to 1 as a percentage: ``0.5%``."""
    # repr() of a float is the shortest decimal that reads back as the same float.
    text = format(Decimal(repr(float(probability))) * 100, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def _split(text: str, kind: str) -> tuple[Decimal, str]:
    match = _NUMBER.fullmatch(text.strip().lower())
    if match is None:
        raise InputError(f"{text!r} is not a {kind}")
    return Decimal(match[1]), match[2]


def _parse(
    text: str, kind: str, units: Mapping[str, Decimal], bare: Decimal | None, common: str
) -> int:
    number, unit = _split(text, kind)
    scale = units.get(unit) if unit else bare
    if scale is None and not unit:
        if number == 0:
            return 0
        raise InputError(
            f"{text!r} is a {kind} without a unit",
            hint=f"write {text.strip()}s or {text.strip()}ms",
        )
    if scale is None:
        near = [name for name in units if unit in name or name in unit]
        hint = f"did you mean {number}{near[0]}?" if near else f"use one of {common}"
        raise InputError(f"{text!r} is not a {kind}: unknown unit {unit!r}", hint=hint)
    if number < 0:
        raise InputError(f"{text!r}: a {kind} cannot be negative")
    value = number * scale
    if value > _MAX:
        raise InputError(f"{text!r} is too large a {kind}")
    return int(value.to_integral_value())


def _format(value: int, units: Mapping[str, Decimal], smallest: str) -> str:
    for unit, scale in units.items():
        if value and value % int(scale) == 0:
            return f"{value // int(scale)}{unit}"
    return f"{value}{smallest}"
