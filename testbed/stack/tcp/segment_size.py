"""The size of segments: headers and the MSS option (RFC 9293, section 3.7.1)."""

from __future__ import annotations

from testbed.packet.address import Flow
from testbed.stack.tcp.config import TcpConfig

TIMESTAMPS_LENGTH = 12
_IPV4_AND_TCP = 40
_IPV6_AND_TCP = 60
_DEFAULT_MSS = {4: 536, 6: 1220}


def ip_version(flow: Flow) -> int:
    """Return the IP version, 4 or 6."""
    return 6 if ":" in flow.local.host else 4


def headers_of(flow: Flow) -> int:
    """Return the size of IP and TCP header without options in octets."""
    return _IPV6_AND_TCP if ":" in flow.local.host else _IPV4_AND_TCP


def advertised_mss(flow: Flow, config: TcpConfig) -> int:
    """Return the value of the MSS option to send."""
    room = config.mtu - headers_of(flow)
    return min(config.mss, room) if config.mss else room


def peers_mss(flow: Flow, option: int | None) -> int:
    """Return the limit of the peer's MSS option; ``None`` if it has sent none."""
    return _DEFAULT_MSS[ip_version(flow)] if option is None else option
