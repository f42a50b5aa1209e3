"""The decoder of MPTCP options, one function for each subtype. ``mptcp.py`` encodes them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from testbed.packet.address import unpack
from testbed.packet.mptcp import (
    DSS_ACK,
    DSS_DATA_FIN,
    DSS_FIELDS,
    DSS_MAP,
    DSS_WIDE_ACK,
    DSS_WIDE_DSN,
    KIND,
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcprst,
    RemoveAddr,
)
from testbed.packet.options import Option, UnknownOption

_DSS_FORMS: Final = tuple(struct.Struct(f"!2x{fields}") for fields in DSS_FIELDS)
_FAMILIES: Final = {4: 4, 6: 4, 12: 4, 14: 4, 16: 16, 18: 16, 24: 16, 26: 16}  # octets -> address


def _capable(data: bytes) -> Option | None:
    values: list[int] = []
    if len(data) not in (2, 10, 18, 20, 22):
        return None
    at = 2
    for octets in (8, 8, 2, 2):
        if at < len(data):
            values.append(int.from_bytes(data[at : at + octets], "big"))
            at += octets
    names = ("sender_key", "receiver_key", "data_length", "checksum")
    return MpCapable(
        version=data[0] & 0x0F, flags=data[1], **dict(zip(names, values, strict=False))
    )


def _join(data: bytes) -> Option | None:
    backup = bool(data[0] & 0x01)
    if len(data) == 10:
        token, nonce = struct.unpack("!II", data[2:])
        return MpJoinSyn(backup=backup, address_id=data[1], token=token, nonce=nonce)
    if len(data) == 14:
        (nonce,) = struct.unpack("!I", data[10:])
        return MpJoinSynAck(backup=backup, address_id=data[1], hmac=data[2:10], nonce=nonce)
    if len(data) == 22:
        return MpJoinAck(hmac=data[2:])
    return None


def _dss(data: bytes) -> Option | None:
    if len(data) < 2:
        return None
    flags = data[1]
    has_ack, has_map = flags & DSS_ACK, flags & DSS_MAP
    form = _DSS_FORMS[flags & 0x0F]
    checksum = None
    if len(data) != form.size:
        if not has_map or len(data) != form.size + 2:
            return None
        checksum = int.from_bytes(data[-2:], "big")
    values = form.unpack_from(data)
    dsn, subflow_seq, length = values[-3:] if has_map else (None, 0, 0)
    return Dss(
        data_ack=values[0] if has_ack else None,
        wide_ack=not has_ack or bool(flags & DSS_WIDE_ACK),
        dsn=dsn,
        wide_dsn=not has_map or bool(flags & DSS_WIDE_DSN),
        subflow_seq=subflow_seq,
        length=length,
        checksum=checksum,
        data_fin=bool(flags & DSS_DATA_FIN),
    )


def _add_addr(data: bytes) -> Option | None:
    size = _FAMILIES.get(len(data) - 2)
    if size is None:
        return None
    echo = bool(data[0] & 0x01)
    rest = data[2 + size :]
    hmac = None
    if len(rest) >= 8:
        rest, hmac = rest[:-8], rest[-8:]
    if echo != (hmac is None):
        return None
    port = int.from_bytes(rest, "big") if rest else None
    return AddAddr(address_id=data[1], address=unpack(data[2 : 2 + size]), port=port, hmac=hmac)


def _remove_addr(data: bytes) -> Option | None:
    return RemoveAddr(address_ids=tuple(data[1:])) if len(data) > 1 else None


def _prio(data: bytes) -> Option | None:
    return MpPrio(backup=bool(data[0] & 0x01)) if len(data) == 1 else None


def _fail(data: bytes) -> Option | None:
    return MpFail(dsn=int.from_bytes(data[2:], "big")) if len(data) == 10 else None


def _fastclose(data: bytes) -> Option | None:
    return MpFastclose(receiver_key=int.from_bytes(data[2:], "big")) if len(data) == 10 else None


def _tcprst(data: bytes) -> Option | None:
    if len(data) != 2:
        return None
    return MpTcprst(reason=data[1], transient=bool(data[0] & 0x01), flags=data[0] & 0x0E)


_SUBTYPES: Final[dict[int, Callable[[bytes], Option | None]]] = {
    0: _capable,
    1: _join,
    2: _dss,
    3: _add_addr,
    4: _remove_addr,
    5: _prio,
    6: _fail,
    7: _fastclose,
    8: _tcprst,
}


def decode(data: bytes) -> Option:
    """Decode an MPTCP option from the octets after kind and length."""
    decoder = _SUBTYPES.get(data[0] >> 4) if data else None
    return (decoder and decoder(data)) or UnknownOption(KIND, data)
