"""The comparison of sent with expected packets, both in the form of script packets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from testbed.interchange.packetdrill.compose import CODEPOINTS
from testbed.interchange.packetdrill.model import Packet, ScriptOption
from testbed.interchange.packetdrill.names import Addresses

Values = Mapping[str, object]

# The parts of a DSS. Both sides must have the same ones.
_PARTS: Final = ("dack4", "dack8", "dsn4", "dsn8", "fin")
_MAPPING: Final = ("ssn", "dll")


def differences(wanted: Packet, got: Packet, addresses: Addresses) -> list[str]:
    """Return the parts in which a packet differs from the expected one.

    As in packetdrill, values that the script omits are not compared, and timestamps only with
    ``tcp_ts_tick_usecs``.
    """
    found: list[str] = []
    if sorted(wanted.flags) != sorted(got.flags):
        found.append("flags")
    if wanted.range != got.range:
        found.append("sequence numbers")
    if "." in wanted.flags and wanted.ack is not None and wanted.ack != got.ack:
        found.append("ack")
    if wanted.window is not None and wanted.window != got.window:
        found.append("win")
    if wanted.urgent is not None and wanted.urgent != got.urgent:
        found.append("urg")
    if "ecn" in wanted.ip and not _same_codepoint(str(wanted.ip["ecn"]), got.ip["ecn"]):
        found.append("ECN")
    found += [name for name in ("tos", "ttl") if wanted.ip.get(name) != got.ip.get(name)]
    if wanted.options is not None:
        found += _options(wanted.options, got.options or (), addresses)
    return found


def _same_codepoint(wanted: str, got: object) -> bool:
    return got in (1, 2) if wanted == "ect01" else got == CODEPOINTS[wanted]


def _options(
    wanted: tuple[ScriptOption, ...], got: tuple[ScriptOption, ...], addresses: Addresses
) -> list[str]:
    """Compare options. Their order and padding are ignored."""
    wanted = tuple(
        sorted((one for one in wanted if one.name not in ("nop", "eol")), key=lambda one: one.name)
    )
    got = tuple(sorted(got, key=lambda one: one.name))
    if [one.name for one in wanted] != [one.name for one in got]:
        return ["options"]
    return [
        one.name for one, other in zip(wanted, got, strict=True) if not _same(one, other, addresses)
    ]


def _same(wanted: ScriptOption, got: ScriptOption, addresses: Addresses) -> bool:
    match wanted.name:
        case "TS":
            return True
        case "mp_capable":
            return _capable(wanted, got)
        case "dss":
            return _dss(wanted.values, got.values)
        case "add_address":
            return _add_addr(wanted, got, addresses)
        case "mp_join_syn_ack":  # packetdrill accepts any id there
            return _said(wanted.values, got.values, lambda name: name != "address_id")
        case _:
            return _said(wanted.values, got.values)


def _said(wanted: Values, got: Values, looked_at: Callable[[str], bool] = lambda _: True) -> bool:
    """Return whether all given and selected values match. An omitted backup flag is 0."""
    if bool(wanted.get("backup")) != bool(got.get("backup")):
        return False
    return all(got.get(name) == value for name, value in wanted.items() if looked_at(name))


def _capable(wanted: ScriptOption, got: ScriptOption) -> bool:
    """Compare MP_CAPABLE. A length that the script omits must be absent."""
    if [name for name, _ in wanted.keys] != [name for name, _ in got.keys]:
        return False
    plain = ("version", "flags", "length")
    return all(wanted.values.get(name) == got.values.get(name) for name in plain)


def _dss(wanted: Values, got: Values) -> bool:
    """Compare DSS. Without a mapping, ``ssn`` and ``dll`` are ignored."""
    if any((name in wanted) != (name in got) for name in _PARTS):
        return False
    mapped = "dsn4" in wanted or "dsn8" in wanted
    checked = "nocs" if mapped else ""
    return all(
        got.get(name) == value
        for name, value in wanted.items()
        if name in _PARTS or name in ("cksum", checked) or (mapped and name in _MAPPING)
    )


def _add_addr(wanted: ScriptOption, got: ScriptOption, addresses: Addresses) -> bool:
    """Compare ADD_ADDR. Echo and port must be both present or both absent on the two sides."""
    if any((name in wanted.values) != (name in got.values) for name in ("addr_echo", "port")):
        return False
    name, given = wanted.address
    if got.address[1] != (given or addresses.bound(name)):
        return False
    return _said(wanted.values, got.values, lambda name: name != "addr")
