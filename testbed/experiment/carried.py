"""The protocol that carried the data of third-party programs, by MIB counters. Pure.

Our own workloads inspect the connection that carries their data. For iperf3, or any other program,
only the node's counters show the protocol: a proved connection may be a control connection, while
the data uses UDP, or a second connection without MPTCP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Counters = Mapping[str, int]

_OTHERS_PER_SEGMENT: Final = (
    0.1  # name look-ups, or a few datagrams for another purpose, are allowed
)


def doubt(node: str, counters: Counters, protocol: str) -> str | None:
    """Return why other protocols may have carried the data that a node received.

    :param counters: the increase of each counter (RFC 4293, RFC 4022, ``net/mptcp/mib.c``).
    :param protocol: ``tcp`` or ``mptcp``.
    """
    segments, others = counters.get("TcpInSegs", 0), _not_tcp(counters)
    if others > _OTHERS_PER_SEGMENT * segments:
        return (
            f"{node} received {others} packets of other protocols than TCP, such as UDP, and "
            f"{segments} TCP segments: the measured data may not have used {protocol}"
        )
    plain = _without_mptcp(counters)
    if protocol == "mptcp" and plain > 0:
        return (
            f"{node} accepted {plain} TCP connection{'s' if plain > 1 else ''} without MPTCP: "
            "the measured data may not have used mptcp"
        )
    return None


def _not_tcp(counters: Counters) -> int:
    """Return how many packets were delivered to other protocols than TCP and ICMP."""
    delivered = counters.get("IpInDelivers", 0) + counters.get("Ip6InDelivers", 0)
    known = ("TcpInSegs", "IcmpInMsgs", "Icmp6InMsgs")
    return delivered - sum(counters.get(name, 0) for name in known)


def _without_mptcp(counters: Counters) -> int:
    """Return how many accepted connections are no subflow."""
    subflows = ("MPTcpExtMPCapableACKRX", "MPTcpExtMPJoinAckRx")
    return counters.get("TcpPassiveOpens", 0) - sum(counters.get(name, 0) for name in subflows)
