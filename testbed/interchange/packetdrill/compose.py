"""The composition of segments from the packets that a script sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.flows import Conversation
from testbed.interchange.packetdrill.model import Packet, Range, ScriptOption, UnsupportedError
from testbed.interchange.packetdrill.names import Addresses, Cookie, Keys
from testbed.packet import mptcp
from testbed.packet import options as tcp
from testbed.packet.option_list import parse_options
from testbed.packet.segment import (
    ACK,
    CE,
    CWR,
    ECE,
    ECT_0,
    ECT_1,
    FIN,
    HOP_LIMIT,
    NOT_ECT,
    PSH,
    RST,
    SYN,
    URG,
    Segment,
)
from testbed.stack.mptcp import crypto

_FLAGS: Final = {
    "S": SYN, "F": FIN, "R": RST, "P": PSH, "U": URG, ".": ACK, "E": ECE, "W": CWR,
}  # fmt: skip
CODEPOINTS: Final = {"noecn": NOT_ECT, "ect0": ECT_0, "ect1": ECT_1, "ect01": ECT_0, "ce": CE}
EXPERIMENTAL: Final = 254  # RFC 6994
FAST_OPEN_MAGIC: Final = b"\xf9\x89"
_ECN_BITS: Final = 3  # the ECN bits of the type of service
_NONCE: Final = 42  # the default of the script's side in a join


class Context(msgspec.Struct, frozen=True):
    """The state that options may depend on."""

    file: str
    packet: Packet
    flow: Conversation
    keys: Keys
    addresses: Addresses
    cookie: Cookie


def composed(context: Context) -> Segment:
    """Return the segment of a script packet."""
    packet, flow = context.packet, context.flow
    syn = "S" in packet.flags
    if syn:
        flow.theirs.begin(packet.range.start, packet.range.start)
    flags = 0
    for letter in packet.flags:
        flags |= _FLAGS[letter]
    return Segment(
        source=flow.remote,
        destination=flow.local,
        seq=flow.theirs.to_live(packet.range.start, syn=syn),
        ack=flow.ours.to_live(packet.ack or 0, syn=syn) if flags & ACK else 0,
        flags=flags,
        window=packet.window or 0,
        options=_options(context),
        payload=bytes(packet.range.length),
        ecn=_codepoint(packet.ip),
        traffic_class=_number(packet.ip, "tos", 0) & ~_ECN_BITS,
        hop_limit=_number(packet.ip, "ttl", HOP_LIMIT),
        urgent=packet.urgent or 0,
    )


def _codepoint(ip: Mapping[str, object]) -> int:
    if "ecn" in ip:
        return CODEPOINTS[str(ip["ecn"])]
    return _number(ip, "tos", NOT_ECT) & _ECN_BITS


def _number(ip: Mapping[str, object], name: str, otherwise: int) -> int:
    value = ip.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


def _options(context: Context) -> tuple[tcp.Option, ...]:
    """Return the options after encoding and decoding."""
    made = [
        _MAKERS[one.name](one, context)
        for one in context.packet.options or ()
        if one.name not in ("nop", "eol")
    ]
    return parse_options(b"".join(option.encode() for option in made))


def _sack(option: ScriptOption, context: Context) -> tcp.Option:
    space = context.flow.ours
    return tcp.Sack(
        tuple((space.to_live(a, syn=False), space.to_live(b, syn=False)) for a, b in option.blocks)
    )


def _timestamps(option: ScriptOption, context: Context) -> tcp.Option:
    echo = context.flow.clock.to_live(option.number("ecr") or 0)
    return tcp.Timestamps(option.number("val") or 0, echo)


def _cookie(option: ScriptOption, context: Context) -> tcp.Option:
    cookie = (context.cookie.value or b"") if option.granted else option.cookie
    if option.name == "FOexp":
        return tcp.UnknownOption(EXPERIMENTAL, FAST_OPEN_MAGIC + cookie)
    return tcp.FastOpen(cookie)


def _capable(option: ScriptOption, context: Context) -> tcp.Option:
    """Make MP_CAPABLE. The sender's key is that of the script, and may get its value here."""
    keys = context.keys
    values = [keys.give(name, value) for name, value in option.keys]
    if not values and "." not in context.packet.flags:
        keys.forget()
    if values and values[0] != keys.ours:
        keys.take(values[0])
    return mptcp.MpCapable(
        version=option.number("version") or 0,
        flags=option.number("flags") or 0,
        sender_key=values[0] if values else None,
        receiver_key=values[1] if len(values) > 1 else None,
        data_length=option.number("length"),
    )


def _join_syn(option: ScriptOption, context: Context) -> tcp.Option:
    nonce = option.number("rand") or _NONCE
    context.flow.join(0, nonce)
    said = option.number("address_id")
    return mptcp.MpJoinSyn(
        backup=bool(option.number("backup")),
        address_id=context.addresses.number(context.flow.remote.host, said),
        token=_token(option, context),
        nonce=nonce,
    )


def _token(option: ScriptOption, context: Context) -> int:
    said = option.values.get("token", "auto")
    if isinstance(said, int):
        return said
    if said == "auto":
        return crypto.token(context.keys.ours or 0)
    match said:
        case ("sha256_32", str(name)):
            return crypto.token(context.keys.value(name, context.packet.line, context.file))
        case _:
            raise UnsupportedError(f"the token {said}, of version 0 of MPTCP", context.packet.line)


def _join_syn_ack(option: ScriptOption, context: Context) -> tcp.Option:
    flow = context.flow
    nonce = option.number("rand") or _NONCE
    flow.join(flow.nonces[0], nonce)
    whole = _join_hmac(context)
    return mptcp.MpJoinSynAck(
        backup=bool(option.number("backup")),
        address_id=option.number("address_id") or 0,
        hmac=crypto.syn_ack_hmac(whole),
        nonce=nonce,
    )


def _join_ack(_: ScriptOption, context: Context) -> tcp.Option:
    return mptcp.MpJoinAck(hmac=crypto.ack_hmac(_join_hmac(context)))


def _join_hmac(context: Context) -> bytes:
    keys, (ours, theirs) = context.keys, context.flow.nonces
    return crypto.join_hmac(keys.theirs or 0, keys.ours or 0, theirs, ours)


def _dss(option: ScriptOption, context: Context) -> tcp.Option:
    """Make DSS. Omitted parts of a mapping follow from the payload."""
    span, keys = context.packet.range, context.keys
    ack = option.number("dack8") if "dack8" in option.values else option.number("dack4")
    dsn = option.number("dsn8") if "dsn8" in option.values else option.number("dsn4")
    wide_ack, wide_dsn = "dack8" in option.values, "dsn8" in option.values
    fin = "fin" in option.values
    length = option.number("dll")
    return mptcp.Dss(
        data_ack=None if ack is None else _cut(keys.our_dsn + ack, wide=wide_ack),
        wide_ack=wide_ack,
        dsn=None if dsn is None else _cut(keys.their_dsn + dsn, wide=wide_dsn),
        wide_dsn=wide_dsn,
        subflow_seq=_subflow_sequence(option, span),
        length=span.length + fin if length is None else length,
        checksum=option.number("cksum"),
        data_fin=fin,
    )


def _subflow_sequence(option: ScriptOption, span: Range) -> int:
    said = option.number("ssn")
    if said is not None:
        return said
    return span.start if span.length else 0


def _cut(number: int, *, wide: bool) -> int:
    return number & ((1 << 64) - 1 if wide else (1 << 32) - 1)


def _add_addr(option: ScriptOption, context: Context) -> tcp.Option:
    name, given = option.address
    addresses, keys = context.addresses, context.keys
    host = given or addresses.bound(name) or addresses.further()
    addresses.bind(name, host)
    port = option.number("port")
    if "addr_echo" in option.values:
        number = option.number("address_id")
        number = addresses.number(host) if number is None else number
        return mptcp.AddAddr(address_id=number, address=host, port=port)
    number = addresses.number(host, option.number("address_id"))
    said = option.number("hmac")
    right = crypto.add_addr_hmac(keys.theirs or 0, keys.ours or 0, number, host, port)
    hmac = right if said is None else said.to_bytes(8, "big")
    return mptcp.AddAddr(address_id=number, address=host, port=port, hmac=hmac)


def _remove_addr(option: ScriptOption, context: Context) -> tcp.Option:
    numbers = option.values.get("address_id")
    if not isinstance(numbers, tuple):
        raise InputError(
            "remove_address has no address_id",
            file=context.file,
            line=context.packet.line,
            hint="address_id=[1]",
        )
    return mptcp.RemoveAddr(address_ids=numbers)


def _prio(option: ScriptOption, _: Context) -> tcp.Option:
    """Make MP_PRIO. The form of version 0, with an id, is unknown to version 1."""
    plain = mptcp.MpPrio(backup=bool(option.number("backup")))
    number = option.number("address_id")
    if number is None:
        return plain
    return tcp.UnknownOption(mptcp.KIND, plain.encode()[2:] + bytes((number,)))


def _fail(option: ScriptOption, context: Context) -> tcp.Option:
    dsn = option.number("dsn8") or option.number("dsn4") or 0
    return mptcp.MpFail(dsn=_cut(context.keys.our_dsn + dsn, wide=True))


def _fastclose(option: ScriptOption, context: Context) -> tcp.Option:
    said = next((value for value in option.values.values() if type(value) is int), None)
    return mptcp.MpFastclose(receiver_key=(context.keys.ours or 0) if said is None else said)


def _reset(option: ScriptOption, _: Context) -> tcp.Option:
    return mptcp.MpTcprst(
        reason=option.number("reason") or 0, transient=bool(option.number("flags"))
    )


_MAKERS: Final[dict[str, Callable[[ScriptOption, Context], tcp.Option]]] = {
    "mss": lambda option, _: tcp.MaximumSegmentSize(option.number("mss") or 0),
    "wscale": lambda option, _: tcp.WindowScale(option.number("shift") or 0),
    "sackOK": lambda _, __: tcp.SackPermitted(),
    "sack": _sack,
    "TS": _timestamps,
    "FO": _cookie,
    "FOexp": _cookie,
    "mp_capable": _capable,
    "mp_join_syn": _join_syn,
    "mp_join_syn_ack": _join_syn_ack,
    "mp_join_ack": _join_ack,
    "dss": _dss,
    "add_address": _add_addr,
    "remove_address": _remove_addr,
    "mp_prio": _prio,
    "mp_fail": _fail,
    "mp_fastclose": _fastclose,
    "mp_reset": _reset,
}
