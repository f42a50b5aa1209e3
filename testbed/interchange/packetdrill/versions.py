"""The versions of IP that a script runs over, with the addresses of the published suites.

Cookies of TCP Fast Open depend on them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.stack.mptcp.config import LINUX_DATA_ACKS, MptcpConfig
from testbed.stack.tcp.config import TcpConfig

_BUFFER: Final = 15 << 20  # the largest receive buffer that ``defaults.sh`` of the suites sets


class Version(msgspec.Struct, frozen=True):
    """A version of IP with addresses and configuration.

    :param suffix: the file name suffix of scripts for this version only.
    """

    name: str
    local: str
    remote: str
    config: MptcpConfig
    suffix: str


def _config(mtu: int) -> MptcpConfig:
    tcp = TcpConfig(
        mtu=mtu, receive_buffer=_BUFFER, receive_buffer_initial=0, syn_linear_timeouts=4
    )
    return MptcpConfig(
        tcp=tcp, receive_buffer=_BUFFER, receive_buffer_initial=0, data_acks=LINUX_DATA_ACKS
    )


_IPV4: Final = ("192.168.0.1", "192.0.2.1", _config(1500), "v4.pkt")
# Mapped addresses are IPv4 on the wire. Only the socket is an IPv6 socket.
VERSIONS: Final = {
    "ipv4": Version("ipv4", *_IPV4),
    "ipv4-mapped-ipv6": Version("ipv4-mapped-ipv6", *_IPV4),
    "ipv6": Version("ipv6", "fd3d:a0b:17d6::1", "fd3d:fa7b:d17d::1", _config(1520), "v6.pkt"),
}
