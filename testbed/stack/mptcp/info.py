"""A connection's own view of itself, in the words of MPTCP_INFO (``testbed.sockinfo``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow

_FALLBACK: Final = 1  # MPTCP_INFO_FLAG_FALLBACK of linux/mptcp.h
_REMOTE_KEY: Final = 2


class PathCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The part of MPTCP_INFO about addresses and limits.

    :param add_addr_signal: addresses of ours that were announced; ``add_addr_accepted`` those of
        the peer to which this side has subflows.
    :param local_addr_used: further addresses from which this side has subflows.
    :param subflows_max: the limit of further subflows; ``add_addr_accepted_max`` likewise.
    :param add_addr_signal_max: endpoints to be announced; ``local_addr_max`` those to open
        subflows from.
    """

    add_addr_signal: int
    add_addr_accepted: int
    subflows_max: int
    add_addr_signal_max: int
    add_addr_accepted_max: int
    local_addr_used: int
    local_addr_max: int


def describe(
    keys: Keys,
    outgoing: SendStream,
    incoming: ReceiveStream,
    subflows: Sequence[Subflow],
    *,
    paths: PathCounts,
    fallback: bool,
    retransmits: int,
    reinjected: int,
    ended: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Return the fields of MPTCP_INFO that have a meaning here, and both tokens.

    The keys are those of :class:`testbed.records.MptcpInfo`.

    :param retransmits: expiries in a row of the timer for a Data ACK.
    :param reinjected: octets that were given to a second subflow.
    :param ended: the last subflows that are no more, as they were.
    """
    there = [one for one in subflows if joined(one)]
    return {
        "fallback": fallback,
        "info": {
            "subflows": max(0, len(there) - 1),
            "flags": _FALLBACK * fallback | _REMOTE_KEY * (keys.remote is not None),
            "retransmits": retransmits,
            **msgspec.structs.asdict(paths),
            "token": keys.token,
            "remote_token": keys.remote_token,
            "write_seq": keys.outgoing.number(outgoing.end),
            "snd_una": keys.outgoing.number(outgoing.una),
            "rcv_nxt": keys.incoming.number(incoming.next),
            "bytes_sent": outgoing.end - outgoing.unsent,
            "bytes_acked": outgoing.una,
            "bytes_received": incoming.next,
            "bytes_out_of_order": incoming.out_of_order,
            "bytes_retrans": reinjected,
            "csum_enabled": int(keys.checksum),
            "subflows_total": len(there),
        },
        "subflows": [describe_subflow(one) for one in there],
        "ended": list(ended),
    }


def joined(subflow: Subflow) -> bool:
    """Tell whether a subflow is, or was, part of its connection: not a join that never was one."""
    return subflow.confirmed or subflow.number == 0


def describe_subflow(subflow: Subflow) -> dict[str, Any]:
    """Return one subflow, as :class:`testbed.records.Subflow` has it."""
    return {
        "id": subflow.number,
        "local": str(subflow.tcp.flow.local),
        "remote": str(subflow.tcp.flow.remote),
        "backup": subflow.backup,
        "tcp": subflow.tcp.info(),
    }
