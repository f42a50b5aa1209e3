"""The translation of sent segments to script packets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from testbed.interchange.packetdrill.compose import (
    EXPERIMENTAL,
    FAST_OPEN_MAGIC,
    Context,
)
from testbed.interchange.packetdrill.model import Packet, Range, ScriptOption
from testbed.packet import mptcp
from testbed.packet import options as tcp
from testbed.packet.segment import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment
from testbed.stack.mptcp import crypto

_LETTERS: Final = (
    (SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ECE, "E"), (CWR, "W"), (ACK, "."),
)  # fmt: skip


def translated(segment: Segment, context: Context) -> Packet:
    """Return a segment as a script packet.

    :param context: the state with the expected packet. Names and numbers that first appear in that
        packet get their values from the segment.
    """
    flow, wanted = context.flow, context.packet
    syn = bool(segment.flags & SYN)
    if syn:
        flow.ours.begin(wanted.range.start if "S" in wanted.flags else 0, segment.seq)
    start = flow.ours.to_script(segment.seq, syn=syn)
    length = len(segment.payload)
    acked = flow.theirs.to_script(segment.ack, syn=syn) if segment.flags & ACK else 0
    return Packet(
        line=wanted.line,
        inbound=False,
        flags="".join(letter for bit, letter in _LETTERS if segment.flags & bit),
        range=Range(start, start + length, length),
        ack=acked if segment.flags & ACK else None,
        window=segment.window,
        urgent=segment.urgent if segment.flags & URG else None,
        options=tuple(_option(option, context) for option in segment.options),
        ip=_ip(segment, wanted),
    )


def _ip(segment: Segment, wanted: Packet) -> dict[str, object]:
    """Return the fields of the IP header that the script gives, and the ECN codepoint."""
    said: dict[str, object] = {"ecn": segment.ecn}
    if "tos" in wanted.ip:
        said["tos"] = segment.traffic_class | segment.ecn
    if "ttl" in wanted.ip:
        said["ttl"] = segment.hop_limit
    return said


def _option(option: tcp.Option, context: Context) -> ScriptOption:
    say = _SAYERS.get(type(option))
    if say is not None:
        name, values = say(option, context)
        return ScriptOption(name, values)
    octets = option.encode()
    if octets[0] == EXPERIMENTAL and octets[2:4] == FAST_OPEN_MAGIC:
        return ScriptOption("FOexp", {"cookie": _cookie("FOexp", octets[4:], context)})
    return ScriptOption(f"option {octets[0]}", {"data": octets[2:].hex()})


Said = tuple[str, Mapping[str, object]]


def _wanted(name: str, context: Context) -> ScriptOption:
    """Return the expected values of an option, empty if the script expects no such option."""
    found = (one for one in context.packet.options or () if one.name == name)
    return next(found, ScriptOption(name))


def _sack(option: tcp.Sack, context: Context) -> Said:
    space = context.flow.theirs
    return "sack", {
        "blocks": tuple(
            (space.to_script(a, syn=False), space.to_script(b, syn=False)) for a, b in option.blocks
        )
    }


def _timestamps(option: tcp.Timestamps, context: Context) -> Said:
    wanted = _wanted("TS", context).number("val")
    clock = context.flow.clock
    if wanted is not None:
        clock.learn(wanted, option.value)
    return "TS", {"val": clock.to_script(option.value), "ecr": option.echo}


def _cookie(name: str, cookie: bytes, context: Context) -> object:
    """Return a cookie, or its name if the script uses a name."""
    wanted = _wanted(name, context)
    if wanted.granted and context.cookie.value in (None, cookie):
        context.cookie.learn(cookie)
        return wanted.values["cookie"]
    return cookie


def _capable(option: mptcp.MpCapable, context: Context) -> Said:
    keys = context.keys
    names = _wanted("mp_capable", context).keys
    if option.sender_key is None:
        keys.forget()
    elif names:
        keys.learn(names[0][0], option.sender_key)
    said = [key for key in (option.sender_key, option.receiver_key) if key is not None]
    return "mp_capable", {
        "version": option.version,
        "flags": option.flags,
        "keys": tuple((keys.name(key), None) for key in said),
        **({} if option.data_length is None else {"length": option.data_length}),
    }


def _join_syn(option: mptcp.MpJoinSyn, context: Context) -> Said:
    context.flow.join(option.nonce, 0)
    keys = context.keys
    right = keys.theirs is not None and option.token == crypto.token(keys.theirs)
    wanted = _wanted("mp_join_syn", context).values.get("token", "auto")
    return "mp_join_syn", {
        "backup": int(option.backup),
        "address_id": option.address_id,
        "token": wanted if right else option.token,
    }


def _join_syn_ack(option: mptcp.MpJoinSynAck, context: Context) -> Said:
    flow, keys = context.flow, context.keys
    flow.join(option.nonce, flow.nonces[1])
    whole = crypto.join_hmac(keys.ours or 0, keys.theirs or 0, option.nonce, flow.nonces[1])
    return "mp_join_syn_ack", {
        "backup": int(option.backup),
        "address_id": option.address_id,
        "sender_hmac": _hmac(option.hmac, crypto.syn_ack_hmac(whole)),
    }


def _join_ack(option: mptcp.MpJoinAck, context: Context) -> Said:
    keys, (ours, theirs) = context.keys, context.flow.nonces
    whole = crypto.join_hmac(keys.ours or 0, keys.theirs or 0, ours, theirs)
    return "mp_join_ack", {"sender_hmac": _hmac(option.hmac, crypto.ack_hmac(whole))}


def _hmac(said: bytes, right: bytes) -> str:
    return "auto" if said == right else said.hex()


def _dss(option: mptcp.Dss, context: Context) -> Said:
    keys = context.keys
    said: dict[str, Any] = {}
    if option.data_ack is not None:
        number = _relative(option.data_ack, keys.their_dsn, wide=option.wide_ack)
        said["dack8" if option.wide_ack else "dack4"] = number
    if option.dsn is not None:
        number = _relative(option.dsn, keys.our_dsn, wide=option.wide_dsn)
        said["dsn8" if option.wide_dsn else "dsn4"] = number
        said |= {"ssn": option.subflow_seq, "dll": option.length}
    if option.checksum is None:
        said["nocs"] = True
    else:
        said["cksum"] = option.checksum
    if option.data_fin:
        said["fin"] = True
    return "dss", said


def _relative(number: int, base: int, *, wide: bool) -> int:
    bits = 64 if wide else 32
    value = (number - base) & ((1 << bits) - 1)
    return value - (1 << bits) if value >> (bits - 1) else value


def _add_addr(option: mptcp.AddAddr, context: Context) -> Said:
    keys = context.keys
    name, given = _wanted("add_address", context).address
    if given is not None or context.addresses.bound(name) is None:
        context.addresses.bind(name, given or option.address)
    said: dict[str, Any] = {
        "address_id": option.address_id,
        "addr": (name if context.addresses.bound(name) == option.address else "", option.address),
    }
    if option.port is not None:
        said["port"] = option.port
    if option.hmac is None:
        return "add_address", {**said, "addr_echo": True}
    right = crypto.add_addr_hmac(
        keys.ours or 0, keys.theirs or 0, option.address_id, option.address, option.port
    )
    return "add_address", {**said, "hmac": _hmac(option.hmac, right)}


def _fastclose(option: mptcp.MpFastclose, context: Context) -> Said:
    right = option.receiver_key == context.keys.theirs
    return "mp_fastclose", {} if right else {"key": option.receiver_key}


def _reset(option: mptcp.MpTcprst, _: Context) -> Said:
    said: dict[str, Any] = {"reason": option.reason}
    return "mp_reset", {**said, "flags": 1} if option.transient else said


def _fail(option: mptcp.MpFail, context: Context) -> Said:
    return "mp_fail", {"dsn8": _relative(option.dsn, context.keys.their_dsn, wide=True)}


_SAYERS: Final[dict[type[tcp.Option], Callable[[Any, Context], Said]]] = {
    tcp.MaximumSegmentSize: lambda option, _: ("mss", {"mss": option.mss}),
    tcp.WindowScale: lambda option, _: ("wscale", {"shift": option.shift}),
    tcp.SackPermitted: lambda _, __: ("sackOK", {}),
    tcp.Sack: _sack,
    tcp.FastOpen: lambda option, context: (
        "FO", {"cookie": _cookie("FO", option.cookie, context)},
    ),
    tcp.Timestamps: _timestamps,
    mptcp.MpCapable: _capable,
    mptcp.MpJoinSyn: _join_syn,
    mptcp.MpJoinSynAck: _join_syn_ack,
    mptcp.MpJoinAck: _join_ack,
    mptcp.Dss: _dss,
    mptcp.AddAddr: _add_addr,
    mptcp.RemoveAddr: lambda option, _: (
        "remove_address", {"address_id": tuple(option.address_ids)},
    ),
    mptcp.MpPrio: lambda option, _: ("mp_prio", {"backup": int(option.backup)}),
    mptcp.MpFail: _fail,
    mptcp.MpFastclose: _fastclose,
    mptcp.MpTcprst: _reset,
}  # fmt: skip
