"""Hypothesis strategies for what is on the wire: options of every form, and segments."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from testbed.errors import PacketError
from testbed.packet import mptcp
from testbed.packet.address import Address, unpack
from testbed.packet.option_list import DECODERS, emit_options
from testbed.packet.options import (
    FastOpen,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from testbed.packet.segment import Segment

u8: Final = st.integers(0, 0xFF)
u16: Final = st.integers(0, 0xFFFF)
u32: Final = st.integers(0, 0xFFFF_FFFF)
u64: Final = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
ipv4: Final = st.ip_addresses(v=4).map(str)
ipv6: Final = st.ip_addresses(v=6).map(lambda address: unpack(address.packed))


def octets(size: int) -> st.SearchStrategy[bytes]:
    """Exactly so many octets."""
    return st.binary(min_size=size, max_size=size)


@st.composite
def capables(draw: st.DrawFn) -> mptcp.MpCapable:
    """MP_CAPABLE: each further value is there only if the one before it is."""
    names = ("sender_key", "receiver_key", "data_length", "checksum")
    count = draw(st.integers(0, len(names)))
    values = {name: draw(u64 if "key" in name else u16) for name in names[:count]}
    return mptcp.MpCapable(version=draw(st.integers(0, 15)), flags=draw(u8), **values)


@st.composite
def signals(draw: st.DrawFn) -> mptcp.Dss:
    """DSS: with and without Data ACK, mapping and checksum, in both widths."""
    wide_ack, wide_dsn = draw(st.booleans()), draw(st.booleans())
    values: dict[str, Any] = {"data_fin": draw(st.booleans())}
    if draw(st.booleans()):
        values |= {"data_ack": draw(u64 if wide_ack else u32), "wide_ack": wide_ack}
    if draw(st.booleans()):
        values |= {"dsn": draw(u64 if wide_dsn else u32), "wide_dsn": wide_dsn}
        values |= {"subflow_seq": draw(u32), "length": draw(u16)}
        values |= {"checksum": draw(st.none() | u16)}
    return mptcp.Dss(**values)


mptcp_options: Final[dict[str, st.SearchStrategy[Option]]] = {
    "MP_CAPABLE": capables(),
    "MP_JOIN of a SYN": st.builds(
        mptcp.MpJoinSyn, backup=st.booleans(), address_id=u8, token=u32, nonce=u32
    ),
    "MP_JOIN of a SYN/ACK": st.builds(
        mptcp.MpJoinSynAck, backup=st.booleans(), address_id=u8, hmac=octets(8), nonce=u32
    ),
    "MP_JOIN of an ACK": st.builds(mptcp.MpJoinAck, hmac=octets(20)),
    "DSS": signals(),
    "ADD_ADDR": st.builds(
        mptcp.AddAddr,
        address_id=u8,
        address=ipv4 | ipv6,
        port=st.none() | u16,
        hmac=st.none() | octets(8),
    ),
    "REMOVE_ADDR": st.builds(
        mptcp.RemoveAddr, address_ids=st.lists(u8, min_size=1, max_size=37).map(tuple)
    ),
    "MP_PRIO": st.builds(mptcp.MpPrio, backup=st.booleans()),
    "MP_FAIL": st.builds(mptcp.MpFail, dsn=u64),
    "MP_FASTCLOSE": st.builds(mptcp.MpFastclose, receiver_key=u64),
    "MP_TCPRST": st.builds(
        mptcp.MpTcprst,
        reason=u8,
        transient=st.booleans(),
        flags=st.integers(0, 7).map(lambda bits: bits << 1),
    ),
}

unknown_options: Final = st.builds(
    UnknownOption,
    u8.filter(lambda kind: kind > 1 and kind not in DECODERS),
    st.binary(max_size=38),
) | st.builds(  # subtypes that RFC 8684 leaves free, and the one for experiments
    UnknownOption,
    st.just(mptcp.KIND),
    st.binary(min_size=1, max_size=38).filter(lambda data: data[0] >> 4 > 8),
)
tcp_options: Final[dict[str, st.SearchStrategy[Option]]] = {
    "MSS": st.builds(MaximumSegmentSize, u16),
    "window scale": st.builds(WindowScale, u8),
    "SACK permitted": st.just(SackPermitted()),
    "fast open": st.builds(
        FastOpen, st.binary(min_size=4, max_size=16).filter(lambda cookie: len(cookie) % 2 == 0)
    )
    | st.just(FastOpen()),
    "SACK": st.builds(Sack, st.lists(st.tuples(u32, u32), min_size=1, max_size=4).map(tuple)),
    "timestamps": st.builds(Timestamps, u32, u32),
    "unknown": unknown_options,
}
options: Final = st.one_of(*tcp_options.values(), *mptcp_options.values())


def _fit(several: tuple[Option, ...]) -> bool:
    try:
        return len(emit_options(several)) <= 40
    except PacketError:
        return False


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Segments as they come off the wire: nothing in ``gso_size`` and ``ext``."""
    host = draw(st.sampled_from((ipv4, ipv6)))
    addresses = st.builds(Address, host, u16)
    return Segment(
        source=draw(addresses),
        destination=draw(addresses),
        seq=draw(u32),
        ack=draw(u32),
        flags=draw(u8),
        window=draw(u16),
        options=draw(st.lists(options, max_size=4).map(tuple).filter(_fit)),
        payload=draw(st.binary(max_size=64)),
        ecn=draw(st.integers(0, 3)),
        urgent=draw(u16),
    )
