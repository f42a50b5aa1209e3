"""TCP Fast Open in scripts (RFC 7413): the cookie that the host under test grants."""

from __future__ import annotations

from typing import Final

from testbed.interchange.packetdrill.host import Host
from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.interchange.packetdrill.sockets import PORT
from testbed.interchange.packetdrill.versions import Version
from testbed.packet.address import Address
from testbed.packet.options import FastOpen, find
from testbed.packet.segment import RST, SYN, Segment

_ASKING: Final = 49_999  # a port that the script's side never uses


def ask_for_cookie(host: Host, version: Version, line: int) -> bytes:
    """Let the open port grant the script's address a cookie, by an aborted handshake.

    :raises UnsupportedError: the port grants no cookie.
    """
    local, remote = Address(version.local, PORT), Address(version.remote, _ASKING)

    def send(flags: int, seq: int) -> None:
        segment = Segment(
            source=remote, destination=local, seq=seq, flags=flags, options=(FastOpen(b""),)
        )
        host.receive(segment)

    send(SYN, 0)
    answers = [one for one in host.sent if one.segment.destination == remote]
    for one in answers:
        host.sent.remove(one)
        option = find(one.segment.options, FastOpen)
        if option is not None and option.cookie:
            send(RST, 1)
            return bytes(option.cookie)
    raise UnsupportedError("a cookie of TCP Fast Open, of a port that grants none", line)
