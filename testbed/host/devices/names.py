"""The names of devices, for command lines and for the option ``device`` of a stack.

``packet``
    The interfaces of the network namespace, by packet sockets; their addresses are shared with the
    kernel.
``tun0``, ``tun0+tun1``
    TUN interfaces that are there already.  The stack has addresses of its own: those that the
    kernel has as its peers' there.
"""

from __future__ import annotations

import re
from typing import Final

from testbed.errors import InputError

PACKET: Final = "packet"
_INTERFACE: Final = re.compile(r"[^\s/:+]{1,15}")  # net/core/dev.c, dev_valid_name; + joins them


def tuns(name: str) -> tuple[str, ...]:
    """Return the TUN interfaces of a device name; none for packet sockets.

    :raises InputError: the name is invalid.
    """
    if name == PACKET:
        return ()
    found = tuple(name.split("+"))
    for one in found:
        if not _INTERFACE.fullmatch(one):
            raise InputError(
                f"{name!r} is not a device", hint=f"{PACKET}, or TUN interfaces: tun0, tun0+tun1"
            )
    if len(set(found)) < len(found):
        raise InputError(f"{name!r} names an interface twice")
    return found
