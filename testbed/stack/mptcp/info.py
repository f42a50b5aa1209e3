"""A connection's own view of itself, in the words of MPTCP_INFO (``testbed.sockinfo``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow


def describe(
    keys: Keys,
    outgoing: SendStream,
    incoming: ReceiveStream,
    subflows: Sequence[Subflow],
    *,
    fallback: bool,
    reinjected: int,
    ended: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Return the fields of MPTCP_INFO that have a meaning here, and both tokens.

    The keys are those of :class:`testbed.records.MptcpInfo`.

    :param reinjected: octets that were given to a second subflow.
    :param ended: the last subflows that are no more, as they were.
    """
    there = [one for one in subflows if joined(one)]
    return {
        "fallback": fallback,
        "info": {
            "subflows": max(0, len(there) - 1),
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
