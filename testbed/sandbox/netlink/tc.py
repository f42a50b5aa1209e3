"""Messages about queueing disciplines and filters (linux/rtnetlink.h, tc(8))."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import Attributes, Request

# RTM_*
NEWQDISC, GETQDISC, NEWTCLASS, GETTCLASS, NEWTFILTER, GETTFILTER = 36, 38, 40, 42, 44, 46
KIND, OPTIONS, STATS, XSTATS = 1, 2, 3, 4  # TCA_*
ROOT, INGRESS = 0xFFFF_FFFF, 0xFFFF_FFF1  # TC_H_ROOT, TC_H_INGRESS

# struct tcmsg: family, index of the interface, handle, parent, info
_FIXED: Final = struct.Struct("=B3xiIII")


def request(
    kind: int,
    flags: int,
    *parts: bytes,
    index: int = 0,
    handle: int = 0,
    parent: int = 0,
    info: int = 0,
) -> Request:
    """Return a request. ``parts`` are its attributes."""
    return codec.request(kind, flags, _FIXED.pack(0, index, handle, parent, info), *parts)


class Found(msgspec.Struct, frozen=True):
    """A qdisc, class or filter.

    :param index: the index of its interface.
    """

    index: int
    handle: int
    parent: int
    attributes: Attributes

    @property
    def kind(self) -> str:
        """The kind of the qdisc, class or filter."""
        return self.attributes.text(KIND) or ""


def read(message: bytes) -> Found:
    """Decode a message."""
    _, index, handle, parent, _ = _FIXED.unpack_from(message, codec.HEADER.size)
    return Found(index, handle, parent, codec.attributes(message, codec.HEADER.size + _FIXED.size))
