"""The grammar of tc-netem(8): parser and formatter of each option.

The table :data:`_GRAMMAR` has a parser and a formatter for each option. A parser takes the words
after the option's keyword. The formatter returns words that parse to the same value.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
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
    Flap,
    FourStates,
    GilbertElliott,
    Loss,
    RandomLoss,
    Rate,
    Reorder,
    Slot,
)
from testbed.wire.queues import grammar as queues
from testbed.wire.words import integer, no_more, read_limit, take_part, write_limit

NONE: Final = "none"  # removes an option

_ALIASES: Final = {"latency": "delay", "drop": "loss"}  # tc accepts both names
_PARTS: Final = {
    "distribution": "delay",
    "gap": "reorder",
    "burst": "rate",
    "ecn": "loss",
    "seed": "flap",
}  # keywords that belong to an option
_FOUR_STATES: Final = ("p13", "p31", "p32", "p23", "p14")
_GE_PARAMETERS: Final = ("p", "r", "one_minus_h", "one_minus_k")


def option_name(name: str) -> str:
    """Return the option with a name or an alias of tc.

    :raises InputError: the option does not exist. The hint has the nearest name.
    """
    option = _ALIASES.get(name, name)
    if option not in OPTIONS:
        raise InputError(f"unknown netem option {name!r}", hint=nearest(name, OPTIONS))
    return option


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
            elif option == "queue":  # its own options have names that are also netem's
                current.extend(words)
        elif word in _PARTS and current is not options.get("slot", ()):
            current = options.setdefault(_PARTS[word], [])
            current.append(word)
        elif current is None:
            option_name(word)
        else:
            current.append(word)
    return {option: " ".join(rest) for option, rest in options.items()}


def join(options: Mapping[str, str]) -> str:
    """Format options as one tc command line, which :func:`split` reads back."""
    return " ".join(
        f"{name} {shlex.quote(text) if name == 'trace' else text}" for name, text in options.items()
    )


def text_of(option: str, value: object) -> str:
    """Return the value of an option in a file as words of tc, unchecked.

    :raises InputError: it is a mapping although the option is no queue, or it has no kind.
    """
    if not isinstance(value, Mapping):
        return str(value)
    if option != "queue":
        raise InputError(f"{option}: takes one value, not a mapping")
    return queues.text_of(value)


def parse_option(option: str, value: object) -> Any:
    """Parse the value of one option in a file; ``none`` gives ``None``.

    :raises InputError: the value is invalid. The message starts with the option's name.
    """
    text = text_of(option, value).strip()
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
    """Format the value of one option in tc's grammar."""
    return str(value) if option == "trace" else _GRAMMAR[option].write(value)


class _Option(NamedTuple):
    read: Callable[[list[str]], Any]
    write: Callable[[Any], str]


def _read_rate(words: list[str]) -> Rate:
    burst = take_part(words, "burst")
    if not words:
        raise InputError("a rate is missing")
    rate, *rest = words
    no_more(rest[3:], ["burst"])
    fields = zip(("packet_overhead", "cell_size", "cell_overhead"), rest, strict=False)
    numbers = {name: integer(text) for name, text in fields}
    return Rate(
        bits_per_second=parse_rate(rate), burst=parse_size(burst) if burst else 0, **numbers
    )


def _write_rate(rate: Rate) -> str:
    extra = [rate.packet_overhead, rate.cell_size, rate.cell_overhead]
    while extra and not extra[-1]:
        extra.pop()
    words = [format_rate(rate.bits_per_second), *map(str, extra)]
    return " ".join(words + (["burst", format_size(rate.burst)] if rate.burst else []))


def _read_delay(words: list[str]) -> Delay:
    name = take_part(words, "distribution") or Distribution.UNIFORM.value
    if name not in set(Distribution):
        raise InputError(f"unknown distribution {name!r}", hint=nearest(name, Distribution))
    if not words:
        raise InputError("a time is missing")
    delay, *rest = words
    no_more(rest[2:], ["distribution"])
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
    if "ecn" not in words:
        return _read_model(words)
    words.remove("ecn")
    if not words:
        raise InputError("ecn needs a model of loss", hint="write for example loss 1% ecn")
    return msgspec.structs.replace(_read_model(words), ecn=True)


def _read_model(words: list[str]) -> Loss:
    if words[0] == "gemodel":
        values = [parse_percent(word) for word in words[1:5]]
        no_more(words[5:])
        if not values:
            raise InputError("gemodel: p is missing", hint="write gemodel P R [1-H [1-K]]")
        defaults: dict[str, Any] = {"r": 1 - values[0]}  # Bernoulli, tc-netem(8)
        return GilbertElliott(**defaults | dict(zip(_GE_PARAMETERS, values, strict=False)))
    if words[0] == "state":
        values = [parse_percent(word) for word in words[1:6]]
        no_more(words[6:])
        if not values:
            raise InputError("state: p13 is missing", hint="state P13 [P31 [P32 [P23 [P14]]]]")
        defaults = {"p31": 1 - values[0]}  # a loss is alone, tc-netem(8)
        chances: dict[str, Any] = dict(zip(_FOUR_STATES, values, strict=False))
        return FourStates(**defaults | chances)
    if words[0].isalpha() and words[0] != "random":
        no_more(words, ("random", "gemodel", "state"))
    return RandomLoss(**_chance(words[words[0] == "random" :]))


def _write_loss(loss: Loss) -> str:
    return _write_model(loss) + (" ecn" if loss.ecn else "")


def _write_model(loss: Loss) -> str:
    if isinstance(loss, GilbertElliott):
        values = [getattr(loss, name) for name in _GE_PARAMETERS]
        return " ".join(["gemodel", *map(format_percent, values)])
    if isinstance(loss, FourStates):
        values = [getattr(loss, name) for name in _FOUR_STATES]
        return " ".join(["state", *map(format_percent, values)])
    return _write_chance(loss)


def _chance(words: list[str]) -> dict[str, Any]:
    if not words:
        raise InputError("a percentage is missing")
    no_more(words[2:])
    values = map(parse_percent, words)
    return dict(zip(("probability", "correlation"), values, strict=False))


def _write_chance(value: RandomLoss | Reorder | Duplicate | Corrupt) -> str:
    text = format_percent(value.probability)
    return f"{text} {format_percent(value.correlation)}" if value.correlation else text


def _read_reorder(words: list[str]) -> Reorder:
    gap = take_part(words, "gap")
    return Reorder(**_chance(words), gap=integer(gap) if gap else 0)


def _write_reorder(reorder: Reorder) -> str:
    return _write_chance(reorder) + (f" gap {reorder.gap}" if reorder.gap else "")


def _read_slot(words: list[str]) -> Slot:
    name = take_part(words, "distribution")
    packets, octets = take_part(words, "packets"), take_part(words, "bytes")
    most, much = integer(packets) if packets else 0, parse_size(octets) if octets else 0
    no_more(words[2:], ["distribution", "packets", "bytes"])
    times = [parse_time(word) for word in words]
    if name is None:
        least_ns, most_ns = (times * 2)[:2] if times else (0, 0)
        return Slot(least_ns=least_ns, most_ns=most_ns, packets=most, octets=much)
    if name not in set(Distribution):
        raise InputError(f"unknown distribution {name!r}", hint=nearest(name, Distribution))
    if len(times) < 2:
        raise InputError("a delay and a jitter are missing")
    delay, jitter = times
    if name == Distribution.UNIFORM:  # as tc's table of it: evenly between two times
        least_ns, most_ns = max(0, delay - jitter), delay + jitter
        return Slot(least_ns=least_ns, most_ns=most_ns, packets=most, octets=much)
    spread = Distribution(name)
    return Slot(delay_ns=delay, jitter_ns=jitter, distribution=spread, packets=most, octets=much)


def _write_slot(slot: Slot) -> str:
    if slot.distribution is Distribution.UNIFORM:
        words = [format_time(slot.least_ns), format_time(slot.most_ns)]
    else:
        words = ["distribution", slot.distribution.value]
        words += [format_time(slot.delay_ns), format_time(slot.jitter_ns)]
    words += ["packets", str(slot.packets)] if slot.packets else []
    return " ".join(words + (["bytes", format_size(slot.octets)] if slot.octets else []))


def _read_flap(words: list[str]) -> Flap:
    seed = take_part(words, "seed")
    if len(words) < 2:
        raise InputError("two times are missing", hint="write UP DOWN, for example 20s 2s")
    no_more(words[2:], ["seed"])
    up_ns, down_ns = map(parse_time, words)
    return Flap(up_ns=up_ns, down_ns=down_ns, seed=None if seed is None else integer(seed))


def _write_flap(flap: Flap) -> str:
    words = [format_time(flap.up_ns), format_time(flap.down_ns)]
    return " ".join(words + ([] if flap.seed is None else ["seed", str(flap.seed)]))


_GRAMMAR: Final = {
    "limit": _Option(read_limit, write_limit),
    "delay": _Option(_read_delay, _write_delay),
    "rate": _Option(_read_rate, _write_rate),
    "loss": _Option(_read_loss, _write_loss),
    "reorder": _Option(_read_reorder, _write_reorder),
    "duplicate": _Option(lambda words: Duplicate(**_chance(words)), _write_chance),
    "corrupt": _Option(lambda words: Corrupt(**_chance(words)), _write_chance),
    "slot": _Option(_read_slot, _write_slot),
    "flap": _Option(_read_flap, _write_flap),
    "queue": _Option(lambda words: queues.read(" ".join(words)), queues.write),
}
