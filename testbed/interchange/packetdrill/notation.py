"""The formatting of packets in the notation of scripts."""

from __future__ import annotations

from testbed.interchange.packetdrill.model import (
    Anything,
    Fields,
    Items,
    Made,
    Packet,
    ScriptOption,
    Value,
    Word,
)

_NS = 1_000_000_000


def of_packet(packet: Packet) -> str:
    """Return a packet in the notation of a script."""
    words = ["<" if packet.inbound else ">"]
    said = [f"{name} {value}" if name in ("tos", "ttl") else str(value)
            for name, value in packet.ip.items() if value or name != "ecn"]  # fmt: skip
    if said:
        words.append(f"[{','.join(said)}]")
    if packet.ends.source or packet.ends.destination:
        words.append(
            _address(packet.ends.source) + f"> {_address(packet.ends.destination)}".rstrip()
        )
    span = packet.range
    words += [packet.flags or "-", f"{span.start}:{span.end}({span.length})"]
    for name, value in (("ack", packet.ack), ("win", packet.window), ("urg", packet.urgent)):
        if value is not None:
            words.append(f"{name} {value}")
    if packet.options is None:
        words.append("<...>")
    elif packet.options:
        words.append(f"<{', '.join(map(of_option, packet.options))}>")
    return " ".join(words)


def of_time(ns: int) -> str:
    """Return a time in seconds since the start of a script."""
    return f"{ns / _NS:.6f}"


def of_value(value: Value) -> str:
    """Return an argument of a call in the notation of a script."""
    match value:
        case Anything():
            return "..."
        case Word():
            return "|".join(value.names)
        case Fields():
            fields = (f"{name}={of_value(one)}" for name, one in value.items)
            return f"{{{', '.join(fields)}}}"
        case Items():
            return f"[{', '.join(map(of_value, value.items))}]"
        case Made():
            return f"{value.name}({', '.join(map(of_value, value.arguments))})"
        case int():
            return str(value)
        case str():
            return f'"{value}"'


def of_written(value: object) -> str:
    """Return the output of a call: a number, events, or several of them."""
    if isinstance(value, frozenset):
        return "|".join(sorted(map(str, value))) or "0"
    if isinstance(value, tuple):
        return f"[{', '.join(map(of_written, value))}]"
    return str(value)


def _address(name: str) -> str:
    return f"addr[{name}] " if name else ""


def of_option(option: ScriptOption) -> str:
    """Return an option in the notation of a script."""
    values = option.values
    match option.name:
        case "mss" | "wscale":
            return f"{option.name} {next(iter(values.values()))}"
        case "TS":
            return f"TS val {values['val']} ecr {values['ecr']}"
        case "sack":
            return "sack " + " ".join(f"{a}:{b}" for a, b in option.blocks)
        case "FO" | "FOexp":
            cookie = values["cookie"] if option.granted else option.cookie.hex()
            return f"{option.name} {cookie}".rstrip()
        case "mp_capable":
            return _capable(option)
        case "mp_reset":
            return f"mp_reset {values['reason']}" + " flags[flag_t]" * bool(values.get("flags"))
        case _:
            return " ".join([option.name, *(_value(name, one) for name, one in values.items())])


def _capable(option: ScriptOption) -> str:
    values = option.values
    keys = [name if value is None else f"{name}={value}" for name, value in option.keys]
    words = [
        f"mpcapable v{values['version']} flags {values['flags']:#x}",
        f"key[{', '.join(keys)}]" if keys else "nokey",
    ]
    if "length" in values:
        words.append(f"mpcdatalen {values['length']}")
    return " ".join(words)


def _value(name: str, value: object) -> str:
    if value is True:
        return name
    if name == "addr" and isinstance(value, tuple):
        known, address = value
        return f"addr[{known}]" if known else f'addr[ep="{address}"]'
    if isinstance(value, tuple):
        if value and isinstance(value[0], str):
            return f"{name}={value[0]}({' '.join(map(str, value[1:]))})"
        return f"{name}=[{','.join(map(str, value))}]"
    return f"{name}={value}"
