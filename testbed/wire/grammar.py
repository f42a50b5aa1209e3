"""tc-netem(8)'s grammar for each option, read and written.

One table, :data:`_GRAMMAR`, has a reader and a writer per option.  A reader takes the words that
follow the option's keyword; the writer gives back words that read as the same value.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from testbed.errors import InputError
from testbed.units import (
    format_percent,
    format_rate,
    format_size,
    format_time,
    parse_percent,
    parse_rate,
    parse_size,
    parse_time,
)
from testbed.wire.options import (
    OPTIONS,
    Corrupt,
    Delay,
    Distribution,
    Duplicate,
    GilbertElliott,
    Limit,
    LimitUnit,
    Loss,
    RandomLoss,
    Rate,
    Reorder,
)

NONE: Final = "none"  # removes an option

_ALIASES: Final = {"latency": "delay", "drop": "loss"}  # tc accepts both names
_PARTS: Final = {"distribution": "delay", "gap": "reorder"}  # keywords that belong to an option
_GE_PARAMETERS: Final = ("p", "r", "one_minus_h", "one_minus_k")


def option_name(name: str) -> str:
    """Return the option that ``name`` means (tc has aliases).

    :raises InputError: there is no such option; the hint has the nearest.
    """
    option = _ALIASES.get(name, name)
    if option not in OPTIONS:
        raise InputError(f"unknown netem option {name!r}", hint=nearest(name, OPTIONS))
    return option


def nearest(word: str, choices: Iterable[str]) -> str:
    """Word a hint: the choice most like ``word``, or all of them."""
    names = [str(choice) for choice in choices]
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(names)}"


def split(text: str) -> dict[str, str]:
    """Split a whole tc command line into the text of each option.

    :raises InputError: text before the first option, or quotes that do not match.
    """
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise InputError(f"{text!r}: {error}") from None
    options: dict[str, list[str]] = {}
    named: set[str] = set()
    current: list[str] | None = None
    for word in words:
        option = _ALIASES.get(word, word)
        if option in named:
            raise InputError(f"{option}: given twice")
        if option in OPTIONS:
            named.add(option)
            current = options.setdefault(option, [])
            if option == "trace":  # any word may be the name of a file, also a keyword
                current.append(next(words, ""))
        elif word in _PARTS:
            current = options.setdefault(_PARTS[word], [])
            current.append(word)
        elif current is None:
            option_name(word)
        else:
            current.append(word)
    return {option: " ".join(rest) for option, rest in options.items()}


def join(options: Mapping[str, str]) -> str:
    """Write options as one tc command line; :func:`split` reads it back."""
    return " ".join(
        f"{name} {shlex.quote(text) if name == 'trace' else text}" for name, text in options.items()
    )


def parse_option(option: str, text: str) -> Any:
    """Read one option's text; ``none`` gives ``None``.

    :raises InputError: what is wrong, after the option's name.
    """
    text = text.strip()
    if text == NONE:
        return None
    if not text:
        raise InputError(f"{option}: a value is missing")
    if option == "trace":
        return text
    try:
        return _GRAMMAR[option].read(text.split())
    except InputError as error:
        if error.message.startswith(f"{option}: "):
            raise
        raise InputError(f"{option}: {error.message}", hint=error.hint) from None


def format_option(option: str, value: Any) -> str:
    """Write one option's value in tc's grammar."""
    return str(value) if option == "trace" else _GRAMMAR[option].write(value)


class _Option(NamedTuple):
    read: Callable[[list[str]], Any]
    write: Callable[[Any], str]


def _no_more(words: list[str], known: Iterable[str] = ()) -> None:
    if words:
        hint = nearest(words[0], known) if known else None
        raise InputError(f"unexpected {words[0]!r}", hint=hint)


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise InputError(f"{text!r} is not a whole number") from None
    if not -(2**31) <= value < 2**31:
        raise InputError(f"{text!r} is too large")
    return value


def _take_part(words: list[str], keyword: str) -> str | None:
    """Take ``keyword VALUE`` out of ``words`` and return the value."""
    if keyword not in words:
        return None
    at = words.index(keyword)
    if at + 1 == len(words):
        raise InputError(f"{keyword}: a value is missing")
    value = words[at + 1]
    del words[at : at + 2]
    return value


def _read_limit(words: list[str]) -> Limit:
    text, *rest = words
    if rest == ["packets"]:
        rest = []
    _no_more(rest, ["packets"])
    number = text.lower().removesuffix("packets").removesuffix("p")
    if number.isdecimal():
        return Limit(value=_integer(number))
    if text.lower().endswith("bdp"):
        return Limit(value=_thousandths(text[:-3]), unit=LimitUnit.BDP)
    if text.lower().endswith("s"):
        return Limit(value=parse_time(text), unit=LimitUnit.NS)
    return Limit(value=parse_size(text), unit=LimitUnit.BYTES)


def _thousandths(text: str) -> int:
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal() or len(fraction) > 3:
        raise InputError(f"'{text}bdp' is not a number of bandwidth-delay products like 1.5bdp")
    return _integer(whole + fraction.ljust(3, "0"))


def _write_limit(limit: Limit) -> str:
    if limit.unit is LimitUnit.BDP:
        whole, thousandths = divmod(limit.value, 1000)
        return f"{whole}.{thousandths:03}".rstrip("0").rstrip(".") + "bdp"
    if limit.unit is LimitUnit.NS:
        return format_time(limit.value)
    return format_size(limit.value) if limit.unit is LimitUnit.BYTES else str(limit.value)


def _read_rate(words: list[str]) -> Rate:
    rate, *rest = words
    _no_more(rest[3:])
    fields = zip(("packet_overhead", "cell_size", "cell_overhead"), rest, strict=False)
    return Rate(bits_per_second=parse_rate(rate), **{name: _integer(text) for name, text in fields})


def _write_rate(rate: Rate) -> str:
    extra = [rate.packet_overhead, rate.cell_size, rate.cell_overhead]
    while extra and not extra[-1]:
        extra.pop()
    return " ".join([format_rate(rate.bits_per_second), *map(str, extra)])


def _read_delay(words: list[str]) -> Delay:
    name = _take_part(words, "distribution") or Distribution.UNIFORM.value
    if name not in set(Distribution):
        raise InputError(f"unknown distribution {name!r}", hint=nearest(name, Distribution))
    if not words:
        raise InputError("a time is missing")
    delay, *rest = words
    _no_more(rest[2:], ["distribution"])
    return Delay(
        delay_ns=parse_time(delay),
        jitter_ns=parse_time(rest[0]) if rest else 0,
        correlation=parse_percent(rest[1]) if rest[1:] else 0.0,
        distribution=Distribution(name),
    )


def _write_delay(delay: Delay) -> str:
    words = [format_time(delay.delay_ns)]
    if delay.jitter_ns:
        words.append(format_time(delay.jitter_ns))
    if delay.correlation:
        words.append(format_percent(delay.correlation))
    if delay.distribution is not Distribution.UNIFORM:
        words += ["distribution", delay.distribution.value]
    return " ".join(words)


def _read_loss(words: list[str]) -> Loss:
    if words[0] == "gemodel":
        values = [parse_percent(word) for word in words[1:5]]
        _no_more(words[5:])
        if not values:
            raise InputError("gemodel: p is missing", hint="write gemodel P R [1-H [1-K]]")
        defaults = {"r": 1 - values[0]}  # Bernoulli, tc-netem(8)
        return GilbertElliott(**defaults | dict(zip(_GE_PARAMETERS, values, strict=False)))
    if words[0] == "state":
        raise InputError("the 4-state model is not supported", hint="use gemodel")
    if words[0].isalpha() and words[0] != "random":
        _no_more(words, ("random", "gemodel"))
    return RandomLoss(**_chance(words[words[0] == "random" :]))


def _write_loss(loss: Loss) -> str:
    if isinstance(loss, GilbertElliott):
        values = [getattr(loss, name) for name in _GE_PARAMETERS]
        return " ".join(["gemodel", *map(format_percent, values)])
    return _write_chance(loss)


def _chance(words: list[str]) -> dict[str, float]:
    if not words:
        raise InputError("a percentage is missing")
    _no_more(words[2:])
    values = map(parse_percent, words)
    return dict(zip(("probability", "correlation"), values, strict=False))


def _write_chance(value: RandomLoss | Reorder | Duplicate | Corrupt) -> str:
    text = format_percent(value.probability)
    return f"{text} {format_percent(value.correlation)}" if value.correlation else text


def _read_reorder(words: list[str]) -> Reorder:
    gap = _take_part(words, "gap")
    return Reorder(**_chance(words), gap=_integer(gap) if gap else 0)


def _write_reorder(reorder: Reorder) -> str:
    return _write_chance(reorder) + (f" gap {reorder.gap}" if reorder.gap else "")


_GRAMMAR: Final = {
    "limit": _Option(_read_limit, _write_limit),
    "delay": _Option(_read_delay, _write_delay),
    "rate": _Option(_read_rate, _write_rate),
    "loss": _Option(_read_loss, _write_loss),
    "reorder": _Option(_read_reorder, _write_reorder),
    "duplicate": _Option(lambda words: Duplicate(**_chance(words)), _write_chance),
    "corrupt": _Option(lambda words: Corrupt(**_chance(words)), _write_chance),
}
