"""The description of a connection in the fields of MPTCP_INFO (``testbed.sockinfo``)."""

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
    """The fields of MPTCP_INFO about addresses and limits.

    :param add_addr_signal: the number of announced local addresses. ``add_addr_accepted`` is the
        number of the peer's announced addresses to which this side has subflows.
    :param local_addr_used: the number of additional local addresses with subflows.
    :param subflows_max: the limit of additional subflows. ``add_addr_accepted_max`` is the limit of
        accepted addresses.
    :param add_addr_signal_max: the number of ``signal`` endpoints. ``local_addr_max`` is that of
        ``subflow`` endpoints.
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
    """Return the fields of MPTCP_INFO that this stack has, and both tokens.

    The keys are those of :class:`testbed.records.MptcpInfo`.

    :param retransmits: how many times in a row the timer for a Data ACK has expired.
    :param reinjected: how many octets were given to a second subflow.
    :param ended: descriptions of the last subflows that have ended.
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
    """Return whether a subflow is or was part of its connection: a failed join was not."""
    return subflow.confirmed or subflow.number == 0


def describe_subflow(subflow: Subflow) -> dict[str, Any]:
    """Return the fields of one subflow for :class:`testbed.records.Subflow`."""
    return {
        "id": subflow.number,
        "local": str(subflow.tcp.flow.local),
        "remote": str(subflow.tcp.flow.remote),
        "backup": subflow.backup,
        "tcp": subflow.tcp.info(),
    }
