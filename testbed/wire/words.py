"""The common parsers of tc's grammar for options of wires and queues."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.units import format_size, format_time, parse_size, parse_time
from testbed.wire.options import Limit, LimitUnit


def no_more(words: list[str], known: Iterable[str] = ()) -> None:
    """Check that no words are left."""
    if words:
        hint = nearest(words[0], known) if known else None
        raise InputError(f"unexpected {words[0]!r}", hint=hint)


def integer(text: str) -> int:
    """Parse an integer of 32 bits."""
    try:
        value = int(text)
    except ValueError:
        raise InputError(f"{text!r} is not a whole number") from None
    if not -(2**31) <= value < 2**31:
        raise InputError(f"{text!r} is too large")
    return value


def take_part(words: list[str], keyword: str) -> str | None:
    """Remove ``keyword VALUE`` from ``words``; return the value."""
    if keyword not in words:
        return None
    at = words.index(keyword)
    if at + 1 == len(words):
        raise InputError(f"{keyword}: a value is missing")
    value = words[at + 1]
    del words[at : at + 2]
    return value


def read_limit(words: list[str]) -> Limit:
    """Parse a limit in packets, octets, time or bandwidth-delay products."""
    text, *rest = words
    if rest == ["packets"]:
        rest = []
    no_more(rest, ["packets"])
    number = text.lower().removesuffix("packets").removesuffix("p")
    if number.isdecimal():
        return Limit(value=integer(number))
    if text.lower().endswith("bdp"):
        return Limit(value=_thousandths(text[:-3]), unit=LimitUnit.BDP)
    if text.lower().endswith("s"):
        return Limit(value=parse_time(text), unit=LimitUnit.NS)
    return Limit(value=parse_size(text), unit=LimitUnit.BYTES)


def _thousandths(text: str) -> int:
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal() or len(fraction) > 3:
        raise InputError(f"'{text}bdp' is not a number of bandwidth-delay products like 1.5bdp")
    return integer(whole + fraction.ljust(3, "0"))


def write_limit(limit: Limit) -> str:
    """Format a limit, which :func:`read_limit` reads back."""
    if limit.unit is LimitUnit.BDP:
        whole, thousandths = divmod(limit.value, 1000)
        return f"{whole}.{thousandths:03}".rstrip("0").rstrip(".") + "bdp"
    if limit.unit is LimitUnit.NS:
        return format_time(limit.value)
    return format_size(limit.value) if limit.unit is LimitUnit.BYTES else str(limit.value)
