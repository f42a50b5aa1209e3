"""Listening TCP and MPTCP sockets, from sock_diag(7) (linux/inet_diag.h)."""

from __future__ import annotations

import socket
import struct
from typing import Final

from testbed.netlink import codec
from testbed.netlink.transport import Netlink
from testbed.sandbox.observation import Listener

_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_LISTEN: Final = 10  # TCP_LISTEN
_INFO: Final = 1 << 1  # INET_DIAG_INFO, which includes the upper layer protocol
_ULP_INFO: Final = 19  # INET_DIAG_ULP_INFO
_ULP_NAME: Final = 1  # INET_ULP_INFO_NAME, all information of a listening socket on its protocol
# struct inet_diag_req_v2: family, protocol, extensions, states; then any socket
_REQUEST: Final = struct.Struct("=BBBxI48x")
# struct inet_diag_msg up to the source address: family, state, timer, retransmissions; the ports
# and addresses of struct inet_diag_sockid are in network order
_MESSAGE: Final = struct.Struct("!BBBBHH16s")
_SIZE: Final = 72  # octets of the whole struct


def read_listeners(netlink: Netlink) -> tuple[Listener, ...]:
    """Return the listening sockets of a NETLINK_SOCK_DIAG socket's namespace."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        fixed = _REQUEST.pack(family, socket.IPPROTO_TCP, _INFO, 1 << _LISTEN)
        found += [_read(body) for body in netlink.dump(codec.request(_BY_FAMILY, 0, fixed))]
    return tuple(found)


def _read(body: bytes) -> Listener:
    family, _, _, _, port, _, address = _MESSAGE.unpack_from(body, codec.HEADER.size)
    attrs = codec.attributes(body, codec.HEADER.size + _SIZE)
    mptcp = attrs.nested(_ULP_INFO).text(_ULP_NAME) == "mptcp"
    return Listener(
        protocol="mptcp" if mptcp else "tcp",
        address=codec.host(address if family == socket.AF_INET6 else address[:4]),
        port=port,
    )
