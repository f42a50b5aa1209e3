"""Recording what a segment of a subflow says once its handshake has nothing more to say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.stack.mptcp import dss
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.packet.mptcp import (
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MptcpOption,
    MpTcprst,
)
from testbed.stack.packet.segment import RST, Segment

if TYPE_CHECKING:
    from testbed.stack.mptcp.subflow import DataLevel, Subflow


def options(owner: DataLevel, subflow: Subflow, segment: Segment, start: int) -> bool:
    """Take in the options; tell whether they are a message, so that it is no duplicate ACK.

    :param start: of the payload, in the subflow's stream.
    """
    signal = False
    subflow.bare = True
    subflow.window_from = None if subflow.confirmed else 0
    for option in segment.options:
        if not isinstance(option, MptcpOption):
            continue
        subflow.bare = False
        if isinstance(option, Dss):
            signal |= _dss(owner, subflow, option, start, empty=not segment.payload)
        elif isinstance(option, MpCapable):
            _capable(owner, subflow, option)
        else:
            signal = True
            _message(owner, subflow, option, reset=bool(segment.flags & RST))
    return signal


def _message(owner: DataLevel, subflow: Subflow, option: MptcpOption, *, reset: bool) -> None:
    match option:
        case MpFastclose():
            subflow.fastclosed |= option.receiver_key == owner.keys.local
        case MpFail():
            subflow.told |= not reset
        case MpTcprst():
            subflow.peer_reset = option if reset else None
        case MpJoinAck() if subflow.initiated:
            pass
        case _:
            subflow.inbox.append(option)


def _dss(owner: DataLevel, subflow: Subflow, option: Dss, start: int, *, empty: bool) -> bool:
    """Take a Data ACK (section 3.3.2) and a mapping (section 3.3.1).

    A length of 0 is that of an infinite mapping, which begins with the payload; there is neither
    one in an ACK, nor DATA_FIN, which counts in the length.

    :param empty: the segment has no payload.
    """
    outgoing = owner.outgoing
    news = False
    if option.data_ack is not None:
        una = outgoing.una
        position = owner.keys.outgoing.position(option.data_ack, wide=option.wide_ack, near=una)
        subflow.unheard = False
        if position <= outgoing.next + outgoing.fin_sent:
            outgoing.acked(position)
            news = outgoing.una != una
            subflow.window_from = position
    if option.dsn is None or (not option.length and (empty or option.data_fin)):
        return news
    if _checksum_as_agreed(owner, subflow, option.checksum):
        news |= _mapping(owner, subflow, option, option.dsn, start)
    return news


def _mapping(owner: DataLevel, subflow: Subflow, option: Dss, dsn: int, start: int) -> bool:
    """Note a mapping or DATA_FIN; tell whether it is DATA_FIN."""
    keys, incoming = owner.keys, owner.incoming
    data = keys.incoming.position(dsn, wide=option.wide_dsn, near=incoming.next)
    mapping = dss.received_mapping(option, data, start)
    if mapping is not None and mapping.infinite:
        subflow.infinite = mapping
    elif mapping is not None:
        subflow.mappings.add(mapping)
    elif not dss.data_fin_is_whole(keys, option, data):
        return False
    if option.data_fin:
        subflow.ack_due |= incoming.finished
        incoming.finish(data + option.length - 1)
    return option.data_fin


def _capable(owner: DataLevel, subflow: Subflow, option: MpCapable) -> None:
    """Take the mapping of the first data, which is in MP_CAPABLE (section 3.1)."""
    length, checksum = option.data_length, option.checksum
    if not length or subflow.number or subflow.initiated:
        return
    if _checksum_as_agreed(owner, subflow, checksum):
        subflow.mappings.add(Mapping(data=0, subflow=0, length=length, checksum=checksum))


def _checksum_as_agreed(owner: DataLevel, subflow: Subflow, checksum: int | None) -> bool:
    """Have the subflow reset if its peer leaves a checksum out, or adds one (section 3.3)."""
    if (checksum is not None) is not owner.keys.checksum:
        subflow.refused = "a mapping's checksum is not as agreed on"
    return subflow.refused is None
