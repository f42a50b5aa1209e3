"""The families of generic netlink: their numbers and the header of their messages (genetlink.h)."""

from __future__ import annotations

import errno
import struct
from typing import Final

from testbed.netlink import codec
from testbed.netlink.codec import Attributes, Request
from testbed.netlink.transport import Netlink

HEADER: Final = struct.Struct("=BBxx")  # struct genlmsghdr: command, version
ATTRIBUTES: Final = codec.HEADER.size + HEADER.size  # the offset of the attributes
_CONTROL, _GETFAMILY, _FAMILY_ID, _FAMILY_NAME, _GROUPS = 16, 3, 1, 2, 7
_GROUP_NAME, _GROUP_ID = 1, 2


def request(family: int, version: int, command: int, *parts: bytes) -> Request:
    """Return a request to the family with a number."""
    return codec.request(family, 0, HEADER.pack(command, version), *parts)


def number(netlink: Netlink, name: str) -> int | None:
    """Return the number of a family, or None if this kernel has no family of that name."""
    found = _family(netlink, name)
    return None if found is None else found.number(_FAMILY_ID)


def groups(netlink: Netlink, name: str) -> dict[str, int] | None:
    """Return a family's multicast groups by name, or None if this kernel lacks the family."""
    found = _family(netlink, name)
    if found is None:
        return None
    listed = found.nested(_GROUPS)
    each = [listed.nested(number) for number in listed]
    return {group.text(_GROUP_NAME) or "": group.number(_GROUP_ID) for group in each}


def _family(netlink: Netlink, name: str) -> Attributes | None:
    asked = request(_CONTROL, 1, _GETFAMILY, codec.text(_FAMILY_NAME, name))
    try:
        answer = netlink.get(asked)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return codec.attributes(answer, ATTRIBUTES)
