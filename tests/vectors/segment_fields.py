"""A segment of ours in tshark's words, in the shape of ``wire_fields``."""

from __future__ import annotations

import ipaddress
from typing import Any

from testbed.packet import mptcp
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    Timestamps,
    WindowScale,
)
from testbed.packet.segment import Segment

Values = dict[str, Any]


def segment_fields(segment: Segment) -> dict[str, Any]:
    """Return what tshark should say of a segment; numbers as it writes them."""
    ip = "ipv6" if ":" in segment.source.host else "ip"
    fields: Values = {
        f"{ip}.src": segment.source.host,
        f"{ip}.dst": segment.destination.host,
        "tcp.srcport": segment.source.port,
        "tcp.dstport": segment.destination.port,
        "tcp.seq_raw": segment.seq,
        "tcp.ack_raw": segment.ack,
        "tcp.flags": f"0x{segment.flags:04x}",
        "tcp.window_size_value": segment.window,
        "tcp.urgent_pointer": segment.urgent,
        "tcp.len": len(segment.payload),
    }
    listed = {name: [str(value)] for name, value in fields.items()}
    for option in segment.options:
        for name, values in _tcp_option(option).items():
            listed[name] = listed.get(name, []) + [str(value) for value in values]
    return {
        **listed,
        "mptcp": [
            {name: [str(value)] for name, value in _mptcp_option(option).items()}
            if not isinstance(option, mptcp.RemoveAddr)
            else _removed(option)
            for option in segment.options
            if option.kind == mptcp.KIND
        ],
    }


def _tcp_option(option: Option) -> dict[str, list[int]]:
    match option:
        case MaximumSegmentSize():
            return {"tcp.options.mss_val": [option.mss]}
        case WindowScale():
            return {"tcp.options.wscale.shift": [option.shift]}
        case Timestamps():
            names = ("tcp.options.timestamp.tsval", "tcp.options.timestamp.tsecr")
            return dict(zip(names, ([option.value], [option.echo]), strict=True))
        case Sack():
            left, right = (list(edges) for edges in zip(*option.blocks, strict=True))
            return {"tcp.options.sack_le": left, "tcp.options.sack_re": right}
    return {}


def _removed(option: mptcp.RemoveAddr) -> dict[str, list[str]]:
    ids = [str(identity) for identity in option.address_ids]
    return {"subtype": ["4"], "mptcp.rm_addr.count": [str(len(ids))], "addrid": ids}


def _mptcp_option(option: Option) -> Values:
    """Return the fields of any other option than REMOVE_ADDR."""
    match option:
        case mptcp.MpCapable():
            values = _capable(option)
        case mptcp.MpJoinSyn() | mptcp.MpJoinSynAck():
            values = _join(option)
        case mptcp.MpJoinAck():
            values = {"reserved": "0x0000", "sendhmac": option.hmac.hex(":")}
        case mptcp.Dss():
            values = _dss(option)
        case mptcp.AddAddr():
            values = _add_addr(option)
        case mptcp.MpPrio():
            values = {"flags": f"0x{0x50 | option.backup:02x}", "backup.flag": int(option.backup)}
        case mptcp.MpFail():
            values = {"reserved": "0x0000", "rawdataseqno": option.dsn}
        case mptcp.MpFastclose():
            values = {"reserved": "0x0000", "recvkey": option.receiver_key}
        case mptcp.MpTcprst():
            values = _tcprst(option)
        case _:
            raise AssertionError(f"tshark's words for {option} are not known here")
    return {"subtype": option.subtype, **values}


def _capable(option: mptcp.MpCapable) -> Values:
    bits = ("checksumreq.flags", 7), ("extensibility.flag", 6), ("nomoresubflows.flag", 5)
    values = {
        "version": option.version,
        "flags": f"0x{option.flags:02x}",
        **{name: option.flags >> bit & 1 for name, bit in bits},
        "sha256.flag": option.flags & 1,
        "reserved.flag": f"0x{option.flags >> 1 & 0x0F:02x}",
        "sendkey": option.sender_key,
        "recvkey": option.receiver_key,
        "datalvllen": option.data_length,
        "checksum": None if option.checksum is None else f"0x{option.checksum:04x}",
    }
    return {name: value for name, value in values.items() if value is not None}


def _join(option: mptcp.MpJoinSyn | mptcp.MpJoinSynAck) -> Values:
    values: Values = {
        "flags": f"0x{0x10 | option.backup:02x}",
        "backup.flag": int(option.backup),
        "addrid": option.address_id,
    }
    if isinstance(option, mptcp.MpJoinSyn):
        values["recvtok"] = option.token
    else:
        values["sendtrunchmac"] = int.from_bytes(option.hmac, "big")
    return {**values, "sendrand": option.nonce}


def _dss(option: mptcp.Dss) -> Values:
    """All but the checksum of a DSS option, which tshark 4.0 does not show."""
    has_ack, has_map = option.data_ack is not None, option.dsn is not None
    bits = {
        "datafin.flag": option.data_fin,
        "dseqn8.flag": has_map and option.wide_dsn,
        "dseqnpresent.flag": has_map,
        "dataack8.flag": has_ack and option.wide_ack,
        "dataackpresent.flag": has_ack,
    }
    flags = sum(bit << 4 - at for at, bit in enumerate(bits.values()))
    values: Values = {"flags": f"0x{flags:02x}", **{name: int(bit) for name, bit in bits.items()}}
    if has_ack:
        values["rawdataack"] = option.data_ack
    if has_map:
        values["rawdataseqno"] = option.dsn
        values["subflowseqno"] = option.subflow_seq
        values["datalvllen"] = option.length
    return values


def _add_addr(option: mptcp.AddAddr) -> Values:
    version = ipaddress.ip_address(option.address).version
    values: Values = {
        "echo": int(option.hmac is None),
        "addrid": option.address_id,
        f"ipv{version}": option.address,
    }
    if option.port is not None:
        values["port"] = option.port
    if option.hmac is not None:
        values["addaddrtrunchmac"] = int.from_bytes(option.hmac, "big")
    return values


def _tcprst(option: mptcp.MpTcprst) -> Values:
    flags = 0x80 | option.flags | option.transient
    bits = {f"flag_{letter}.flag": flags >> 3 - at & 1 for at, letter in enumerate("UVWT")}
    return {"flags": f"0x{flags:02x}", **bits, "rst_reason": f"0x{option.reason:02x}"}
