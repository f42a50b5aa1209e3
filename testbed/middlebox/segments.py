"""The segments and options for a box to select, by their names in topologies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.packet import mptcp, options
from testbed.packet.segment import ACK, SYN, Segment

Matches = Callable[[Segment], bool]
OptionKinds = tuple[type[options.Option], ...]


def on_syn(segment: Segment) -> bool:
    """Return whether a segment has SYN and no ACK: the first of a connection or subflow."""
    return segment.flags & (SYN | ACK) == SYN


def on_syn_ack(segment: Segment) -> bool:
    """Return whether a segment is a SYN/ACK."""
    return segment.flags & (SYN | ACK) == SYN | ACK


def on_handshake(segment: Segment) -> bool:
    """Return whether a segment has SYN, with or without ACK."""
    return bool(segment.flags & SYN)


def on_data(segment: Segment) -> bool:
    """Return whether a segment has no SYN."""
    return not segment.flags & SYN


def always(_: Segment) -> bool:
    """Return True."""
    return True


WHERE: Final[dict[str, Matches]] = {
    "syn": on_syn,
    "syn_ack": on_syn_ack,
    "handshake": on_handshake,
    "data": on_data,
    "all": always,
}
Where = Annotated[
    Literal["syn", "syn_ack", "handshake", "data", "all"],
    msgspec.Meta(
        description="The affected segments: syn (SYN without ACK), syn_ack, handshake (both), data "
        "(all without SYN) or all."
    ),
]

# `unknown` are the options that a cautious firewall from before MPTCP does not know.
OPTIONS: Final[dict[str, OptionKinds]] = {
    "mptcp": (mptcp.MptcpOption,),
    "mp_capable": (mptcp.MpCapable,),
    "mp_join": (mptcp.MpJoinSyn, mptcp.MpJoinSynAck, mptcp.MpJoinAck),
    "dss": (mptcp.Dss,),
    "add_addr": (mptcp.AddAddr,),
    "remove_addr": (mptcp.RemoveAddr,),
    "mp_prio": (mptcp.MpPrio,),
    "mp_fail": (mptcp.MpFail,),
    "mp_fastclose": (mptcp.MpFastclose,),
    "mp_tcprst": (mptcp.MpTcprst,),
    "timestamps": (options.Timestamps,),
    "sack_permitted": (options.SackPermitted,),
    "sack": (options.Sack,),
    "window_scale": (options.WindowScale,),
    "mss": (options.MaximumSegmentSize,),
    "user_timeout": (options.UserTimeout,),
    "fast_open": (options.FastOpen,),
    "unknown": (
        mptcp.MptcpOption,
        options.UserTimeout,
        options.FastOpen,
        options.UnknownOption,
    ),
}
OptionNames = Annotated[
    tuple[str, ...],
    msgspec.Meta(min_length=1, description=f"The TCP options: {', '.join(OPTIONS)}."),
]


def check_options(names: Iterable[str]) -> None:
    """Check the names of options.

    :raises InputError: no option has the name.
    """
    for name in names:
        if name not in OPTIONS:
            raise InputError(f"there is no option {name!r}", hint=nearest(name, OPTIONS))


def option_kinds(names: Iterable[str]) -> OptionKinds:
    """Return the classes of the options with these names."""
    return tuple(kind for name in names for kind in OPTIONS[name])
