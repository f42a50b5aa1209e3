"""The parser of the TCP options of packets.

Each option becomes its name and values; ``compose.py`` gives them their meaning.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from testbed.interchange.packetdrill.lexer import Token
from testbed.interchange.packetdrill.model import ScriptOption, UnsupportedError
from testbed.interchange.packetdrill.reader import Reader

Values = dict[str, object]

# The suites' names for the cookie that the host under test grants the script's address.
GRANTED: Final = "TFO_COOKIE"
# The bits of values by name; others have 64.
_BITS: Final = {
    "address_id": 8, "port": 16, "ssn": 32, "dll": 16, "cksum": 16, "rand": 32, "token": 32,
    "backup": 1, "dack4": 32, "dsn4": 32,
}  # fmt: skip
_KEYS: Final = frozenset("ABCDEFGH")


def read_options(reader: Reader) -> tuple[ScriptOption, ...] | None:
    """Read the options up to ``>``. Return ``None`` for ``...``.

    :raises UnsupportedError: an option is unknown.
    """
    if reader.peek.kind == "dots":
        reader.next()
        reader.expect(">")
        return None
    found: list[ScriptOption] = []
    while not reader.take(">"):
        found.append(_option(reader))
        if not reader.take(","):
            reader.expect(">")
            break
    return tuple(found)


def _option(reader: Reader) -> ScriptOption:
    token = reader.next()
    name = _ALIASES.get(token.text, token.text)
    read = _OPTIONS.get(name)
    if read is None:
        if token.kind != "word":
            raise reader.error("a TCP option", token)
        raise UnsupportedError(f"the TCP option {token.text!r}", token.line)
    return ScriptOption(name, read(reader, token))


def _nothing(_: Reader, __: Token) -> Values:
    return {}


def _one(name: str, bits: int) -> Callable[[Reader, Token], Values]:
    return lambda reader, _: {name: reader.number(f"the number of {name}", bits)}


def _timestamps(reader: Reader, _: Token) -> Values:
    reader.expect("val")
    value = reader.number("a timestamp")
    reader.expect("ecr")
    return {"val": value, "ecr": reader.number("a timestamp")}


def _sack(reader: Reader, _: Token) -> Values:
    blocks: list[tuple[int, int]] = []
    while reader.peek.kind == "int":
        start = reader.number("a sequence number")
        reader.expect(":")
        blocks.append((start, reader.number("a sequence number")))
    return {"blocks": tuple(blocks)}


def _cookie(reader: Reader, token: Token) -> Values:
    if reader.peek.text in (",", ">"):
        return {"cookie": b""}
    digits = reader.blob()
    if digits == GRANTED:
        return {"cookie": digits}
    try:
        return {"cookie": bytes.fromhex(digits)}
    except ValueError:
        raise UnsupportedError(f"the cookie {digits} without a value", token.line) from None


def _capable(reader: Reader, _: Token) -> Values:
    values: Values = {"version": 1, "flags": 0, "keys": ()}
    if reader.peek.text in ("v0", "v1"):
        values["version"] = int(reader.next().text[1:])
    if reader.take("flags"):
        values["flags"] = _flags(reader)
    if not reader.take("nokey") and reader.take("key"):
        values["keys"] = _keys(reader)
    if reader.take("mpcdatalen"):
        values["length"] = reader.number("a length", 16)
    return values


def _flags(reader: Reader) -> int:
    """Read ``[flag_a, flag_h]`` or a number."""
    if not reader.take("["):
        return reader.number("flags", 8)
    flags = 0
    while not reader.take("]"):
        name = reader.word("a flag")
        letter = name.removeprefix("flag_").upper()
        if letter in _KEYS:
            flags |= 0x80 >> (ord(letter) - ord("A"))
        elif name == "flag_t":
            flags |= 1
        reader.take(",")
    return flags


def _keys(reader: Reader) -> tuple[tuple[str, int | None], ...]:
    """Read ``[skey, ckey=2]``: names of keys, with the given values."""
    reader.expect("[")
    keys: list[tuple[str, int | None]] = []
    while not reader.take("]"):
        name = reader.word("the name of a key")
        keys.append((name, reader.number("a key", 64) if reader.take("=") else None))
        reader.take(",")
    return tuple(keys)


def _named(reader: Reader, token: Token) -> Values:
    """Read ``name=value`` and names without a value, up to the next option."""
    values: Values = {}
    while reader.peek.kind == "word":
        name = reader.next().text
        if reader.take("["):
            values[name] = _address(reader)
        elif name == "flags":
            reader.expect("[")
            values[name] = _reset_flags(reader)
        else:
            values[name] = _value(reader, token, name) if reader.take("=") else True
    return values


def _reset_flags(reader: Reader) -> int:
    name = reader.word("a flag")
    reader.expect("]")
    return int(name == "flag_t")


def _reset(reader: Reader, token: Token) -> Values:
    return {"reason": reader.number("a reason", 8), **_named(reader, token)}


def _address(reader: Reader) -> tuple[str, str | None]:
    """Read the name of an address, and the address if it is given."""
    name = reader.word("the name of an address")
    given = None
    if reader.take("="):
        function = reader.next()
        if function.text not in ("inet_addr", "inet6_addr"):
            raise reader.error("inet_addr or inet6_addr", function)
        reader.expect("(")
        given = _host(reader)
        reader.expect(")")
    reader.expect("]")
    return name, given


def _host(reader: Reader) -> str:
    token = reader.next()
    try:
        return str(ipaddress.ip_address(token.text.strip('"')))
    except ValueError:
        raise reader.error("an address in quotes", token) from None


def _value(reader: Reader, token: Token, name: str) -> object:
    if reader.take("auto"):
        return "auto"
    if reader.take("["):
        numbers: list[int] = []
        while not reader.take("]"):
            numbers.append(reader.number("an id", 8))
            reader.take(",")
        return tuple(numbers)
    if reader.peek.kind == "word":
        function = reader.next().text
        reader.expect("(")
        names = [reader.word("the name of a key")]
        while not reader.take(")"):
            reader.take(",")
            names.append(reader.word("the name of a key"))
        return function, *names
    return reader.number(f"a value of {token.text}", _BITS.get(name, 64))


_ALIASES: Final = {
    "mpcapable": "mp_capable",
    "FOEXP": "FOexp",
    "remove_addr": "remove_address",
    "add_addr": "add_address",
}
_OPTIONS: Final[dict[str, Callable[[Reader, Token], Values]]] = {
    "nop": _nothing,
    "eol": _nothing,
    "mss": _one("mss", 16),
    "wscale": _one("shift", 8),
    "sackOK": _nothing,
    "sack": _sack,
    "TS": _timestamps,
    "FO": _cookie,
    "FOexp": _cookie,
    "mp_capable": _capable,
    "mp_join_syn": _named,
    "mp_join_syn_ack": _named,
    "mp_join_ack": _named,
    "dss": _named,
    "add_address": _named,
    "remove_address": _named,
    "mp_prio": _named,
    "mp_fail": _named,
    "mp_fastclose": _named,
    "mp_reset": _reset,
}
