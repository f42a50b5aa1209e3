"""Listening TCP and MPTCP sockets, by sock_diag(7)."""

from __future__ import annotations

import socket
from typing import Final

from pyroute2.netlink.diag import (
    SOCK_DIAG_BY_FAMILY,
    SS_LISTEN,
    inet_diag_msg,
    inet_diag_req,
)

from testbed.netlink.attributes import Only, attributes
from testbed.netlink.transport import Netlink, decode, encode
from testbed.sandbox.observation import Listener

_INFO: Final = 1 << 1  # INET_DIAG_INFO: with it the upper layer protocol comes as well
_ULP_NAME: Final = "INET_ULP_INFO_NAME"  # all a listening socket tells of its protocol


class SocketMessage(Only, inet_diag_msg):  # type: ignore[misc]
    """A socket; its upper layer protocol tells an MPTCP listener (linux/inet_diag.h)."""

    nla_map = ((19, "INET_DIAG_ULP_INFO", "upper_layer"),)

    class upper_layer(Only, inet_diag_msg.inet_diag_meminfo):  # type: ignore[misc] # noqa: N801 - found by this name
        """INET_DIAG_ULP_INFO."""

        fields = ()
        nla_map = ((1, _ULP_NAME, "asciiz"),)


def read_listeners(netlink: Netlink) -> tuple[Listener, ...]:
    """Return the listening sockets of a NETLINK_SOCK_DIAG socket's namespace."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        request = encode(
            inet_diag_req(),
            SOCK_DIAG_BY_FAMILY,
            sdiag_family=family,
            sdiag_protocol=socket.IPPROTO_TCP,
            idiag_ext=_INFO,
            idiag_states=1 << SS_LISTEN,
        )
        found += [_read(decode(SocketMessage, body)) for body in netlink.dump(request)]
    return tuple(found)


def _read(message: SocketMessage) -> Listener:
    upper = attributes(message).get("INET_DIAG_ULP_INFO")
    mptcp = upper is not None and attributes(upper).get(_ULP_NAME) == "mptcp"
    return Listener(
        protocol="mptcp" if mptcp else "tcp",
        address=message["idiag_src"],
        port=message["idiag_sport"],
    )
