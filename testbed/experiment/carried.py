"""The protocol that carried the data of other people's programs, by MIB counters.  Pure.

Our own workloads look at the very connection that carries their data.  Of iperf3, or of any other
program, only the node's counters tell: a connection that is proved may be one that controls a
transfer, while the data goes over UDP, or over a second connection without MPTCP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Counters = Mapping[str, int]

_OTHERS_PER_SEGMENT: Final = (
    0.1  # a look-up of a name, or a few datagrams of another purpose, do no harm
)


def doubt(node: str, counters: Counters, protocol: str) -> str | None:
    """Return why the data that a node received may not have come by connections of a protocol.

    :param counters: how far each counter moved (RFC 4293, RFC 4022, ``net/mptcp/mib.c``).
    :param protocol: ``tcp`` or ``mptcp``.
    """
    segments, others = counters.get("TcpInSegs", 0), _not_tcp(counters)
    if others > _OTHERS_PER_SEGMENT * segments:
        return (
            f"{node} received {others} packets of other protocols than TCP, such as UDP, beside "
            f"{segments} TCP segments: what was measured need not have gone over {protocol}"
        )
    plain = _without_mptcp(counters)
    if protocol == "mptcp" and plain > 0:
        return (
            f"{node} accepted {plain} TCP connection{'s' if plain > 1 else ''} without MPTCP: "
            "what was measured need not have gone over mptcp"
        )
    return None


def _not_tcp(counters: Counters) -> int:
    """Return how many packets were delivered to other protocols than TCP and ICMP."""
    delivered = counters.get("IpInDelivers", 0) + counters.get("Ip6InDelivers", 0)
    known = ("TcpInSegs", "IcmpInMsgs", "Icmp6InMsgs")
    return delivered - sum(counters.get(name, 0) for name in known)


def _without_mptcp(counters: Counters) -> int:
    """Return how many connections were accepted that are no subflow."""
    subflows = ("MPTcpExtMPCapableACKRX", "MPTcpExtMPJoinAckRx")
    return counters.get("TcpPassiveOpens", 0) - sum(counters.get(name, 0) for name in subflows)
