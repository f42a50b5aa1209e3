"""ICMP errors of scripts."""

from __future__ import annotations

from typing import Final

from testbed.interchange.packetdrill.flows import Conversation
from testbed.interchange.packetdrill.model import Icmp, UnsupportedError
from testbed.packet.address import Flow
from testbed.packet.icmp import IcmpError, IcmpKind

_KINDS: Final = {
    "frag_needed": IcmpKind.TOO_BIG,
    "packet_too_big": IcmpKind.TOO_BIG,
    "unreachable": IcmpKind.UNREACHABLE,  # without a code: code 0, as in packetdrill
    "net_unreachable": IcmpKind.UNREACHABLE,
    "host_unreachable": IcmpKind.UNREACHABLE,
    "source_route_failed": IcmpKind.UNREACHABLE,
    "no_route": IcmpKind.UNREACHABLE,
    "address_unreachable": IcmpKind.UNREACHABLE,
    "protocol_unreachable": IcmpKind.PORT_UNREACHABLE,
    "port_unreachable": IcmpKind.PORT_UNREACHABLE,
    "net_prohibited": IcmpKind.PROHIBITED,
    "host_prohibited": IcmpKind.PROHIBITED,
    "packet_filtered": IcmpKind.PROHIBITED,
    "administratively_prohibited": IcmpKind.PROHIBITED,
}


def icmp_error(icmp: Icmp, flow: Conversation | None) -> IcmpError:
    """Return an error about a segment of a connection.

    :raises UnsupportedError: there is no connection, or the stack does not have the error.
    """
    kind = _KINDS.get(icmp.code or icmp.type)
    if kind is None or flow is None:
        raise UnsupportedError(f"ICMP {icmp.type} {icmp.code}".rstrip(), icmp.line)
    start = 0 if icmp.range is None else icmp.range.start
    return IcmpError(
        kind=kind,
        flow=Flow(flow.local, flow.remote),
        seq=flow.ours.to_live(start, syn=False),
        mtu=icmp.mtu,
    )
