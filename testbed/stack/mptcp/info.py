"""A connection's own view of itself, in the words of MPTCP_INFO (``testbed.sockinfo``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.stack.mptcp.connection import MptcpConnection


def describe(connection: MptcpConnection) -> dict[str, Any]:
    """Return the fields of MPTCP_INFO that have a meaning here, and both tokens.

    The keys are those of :class:`testbed.sockinfo.MptcpInfo`.
    """
    keys, outgoing, incoming = connection.keys, connection.outgoing, connection.incoming
    subflows = [one for one in connection.subflows if one.confirmed or one.number == 0]
    return {
        "fallback": connection.fallback,
        "info": {
            "subflows": max(0, len(subflows) - 1),
            "token": keys.token,
            "remote_token": keys.remote_token,
            "write_seq": keys.outgoing.number(outgoing.end),
            "snd_una": keys.outgoing.number(outgoing.una),
            "rcv_nxt": keys.incoming.number(incoming.next),
            "bytes_sent": outgoing.next,
            "bytes_acked": outgoing.una,
            "bytes_received": incoming.next,
            "bytes_retrans": connection.sender.reinjected,
            "csum_enabled": 0,
            "subflows_total": len(subflows),
        },
        "subflows": [
            {
                "id": one.number,
                "local": str(one.tcp.flow.local),
                "remote": str(one.tcp.flow.remote),
                "backup": one.backup,
                "tcp": one.tcp.info(),
            }
            for one in subflows
        ],
    }
