"""tc(8)'s grammar for queues: ``fq_codel target 5ms ecn``, or the same as a mapping.

One table, :data:`_OPTIONS`, has a reader and a writer for each option of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.units import (
    format_percent,
    format_size,
    format_time,
    parse_percent,
    parse_size,
    parse_time,
)
from testbed.wire.queues.kinds import KINDS, Queue, kind_of
from testbed.wire.words import integer, read_limit, write_limit

KIND: Final = "kind"

_Values = Mapping[str, object]


class _Option(NamedTuple):
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    summary: str


def _read_probability(text: str) -> float:
    try:
        return parse_percent(text) if text.endswith("%") else float(text)
    except ValueError:
        raise InputError(f"{text!r} is not a probability like 0.02 or 2%") from None


def _time(summary: str) -> _Option:
    return _Option(parse_time, format_time, summary)


def _size(summary: str) -> _Option:
    return _Option(parse_size, format_size, summary)


def _number(summary: str) -> _Option:
    return _Option(integer, str, summary)


_FLAGS: Final = {
    "ecn": "mark packets that can be marked (RFC 3168) instead of dropping them",
    "bytemode": "drop small packets less often",
    "harddrop": "above max, drop packets even if they can be marked",
}
_CODEL: Final = {
    "limit": _number("packets that may wait"),
    "target": _time("the acceptable delay"),
    "interval": _time("how long the delay may be above the target"),
    "ce_threshold": _time("mark all packets that waited longer"),
}
_OPTIONS: Final[dict[str, dict[str, _Option]]] = {
    "fifo": {
        "limit": _Option(
            lambda text: read_limit(text.split()),
            write_limit,
            "the most that may wait: packets, octets (64kb), time (100ms) or 1.5bdp",
        )
    },
    "codel": _CODEL,
    "fq_codel": {
        **_CODEL,
        "flows": _number("queues that flows are spread over"),
        "quantum": _size("octets that a flow may send in its turn"),
        "drop_batch": _number("packets the longest queue loses when the limit is reached"),
    },
    "pie": {
        "limit": _number("packets that may wait"),
        "target": _time("the delay to hold"),
        "tupdate": _time("how often the probability is computed"),
        "alpha": _number("weight of the distance from the target, 0 to 32"),
        "beta": _number("weight of the change of the delay, 0 to 32"),
    },
    "red": {
        "limit": _size("octets that may wait"),
        "min": _size("average in octets from which packets are dropped or marked"),
        "max": _size("average in octets at which the given probability is reached"),
        "avpkt": _size("octets of an average packet"),
        "burst": _number("packets that may come at once"),
        "probability": _Option(
            _read_probability, format_percent, "the probability at max, like 0.02 or 2%"
        ),
    },
}


def options(kind: str) -> dict[str, str]:
    """Return the options of a kind, with a line about each."""
    fields = KINDS[kind].__struct_fields__
    flags = {name: text for name, text in _FLAGS.items() if name in fields}
    return {name: it.summary for name, it in _OPTIONS[kind].items()} | flags


def is_flag(name: str) -> bool:
    """Whether an option is on or off."""
    return name in _FLAGS


def text_of(value: _Values) -> str:
    """Write a mapping as tc's words, unchecked: ``{kind: codel, ecn: true}`` is ``codel ecn``.

    :raises InputError: it has no kind.
    """
    if KIND not in value:
        raise InputError("the kind is missing", hint=f"kind: one of {', '.join(KINDS)}")
    words = [str(value[KIND])]
    for name, each in value.items():
        if isinstance(each, bool):
            words.append(name if each else f"no{name}")
        elif name != KIND:
            words += [name, str(each)]
    return " ".join(words)


def check(value: _Values, name: str) -> None:
    """Check one key of a mapping.

    :raises InputError: there is no such key, or its value is impossible.
    """
    kind = _known(str(value.get(KIND, "fifo")))
    if name == KIND:
        return
    if name not in options(kind):
        raise InputError(
            f"a queue {kind} has no option {name!r}", hint=nearest(name, options(kind))
        )
    if name in _FLAGS:
        if not isinstance(value[name], bool):
            raise InputError(f"{value[name]!r} is neither true nor false")
        return
    _OPTIONS[kind][name].read(str(value[name]))


def read(text: str) -> Queue:
    """Read a queue in tc's words.

    :raises InputError: what is wrong with it.
    """
    kind, *words = text.split()
    known = _OPTIONS[_known(kind)]
    flags = {name for name in _FLAGS if name in options(kind)}
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        flag = word.removeprefix("no")
        name = flag if flag in flags else word
        if name in found:
            raise InputError(f"{name}: given twice")
        if flag in flags:
            found[flag] = word == flag
        elif word in known:
            found[word] = _value(known[word], word, next(rest, None))
        else:
            choices = options(kind)
            raise InputError(f"{kind} has no option {word!r}", hint=nearest(word, choices))
    if kind == "red" and "limit" not in found:
        raise InputError("red needs a limit in octets", hint="write for example red limit 400kb")
    return KINDS[kind](**found)


def write(queue: Queue) -> str:
    """Write a queue in tc's words; :func:`read` reads it back."""
    kind = kind_of(queue)
    words = [kind]
    for field in msgspec.structs.fields(queue):
        value = getattr(queue, field.name)
        if value == field.default:
            continue
        if field.name in _FLAGS:
            words.append(field.name if value else f"no{field.name}")
        else:
            words += [field.name, _OPTIONS[kind][field.name].write(value)]
    return " ".join(words)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise InputError(f"there is no queue {kind!r}", hint=nearest(kind, KINDS))
    return kind


def _value(option: _Option, name: str, text: str | None) -> object:
    if text is None:
        raise InputError(f"{name}: a value is missing")
    try:
        return option.read(text)
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from None
