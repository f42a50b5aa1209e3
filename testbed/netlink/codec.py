"""Netlink messages as octets (netlink(7)): a header, a fixed part and attributes.

The classes of pyroute2 support every message, but they need a tenth of a millisecond for each,
which is most of the time to build a large network. To import them takes longer than to build a
small one. So this module packs the messages that are sent and read for every host with
:mod:`struct`. A test compares each message with that of pyroute2.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final, TypeAlias

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP, NLM_F_ACK_TLVS = 1, 4, 0x10, 0x300, 0x200
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
NETLINK_SOCK_DIAG, NETLINK_GENERIC = 4, 16

HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr: length, type
_TYPE: Final = 0x3FFF  # mask without NLA_F_NESTED and NLA_F_NET_BYTEORDER
NESTED: Final = 0x8000
_ORDER: Final = sys.byteorder

Request: TypeAlias = bytes  # a message without its sequence number


class Attributes(dict[int, bytes]):
    """The values of a message's attributes by number; the last value if a number repeats."""

    def number(self, number: int, default: int = 0) -> int:
        """Return an integer of any size, or the default if the attribute is absent."""
        value = self.get(number)
        return default if value is None else int.from_bytes(value, _ORDER)

    def text(self, number: int) -> str | None:
        """Return a string, or None if the attribute is absent.

        Like a file name, the name of an interface may contain any octets.
        """
        value = self.get(number)
        return None if value is None else os.fsdecode(value.rstrip(b"\0"))

    def host(self, number: int) -> str | None:
        """Return an IP address, or None if the attribute is absent."""
        value = self.get(number)
        return None if value is None else host(value)

    def nested(self, number: int) -> Attributes:
        """Return the attributes within an attribute; an empty dict if it is absent."""
        return attributes(self.get(number, b""), 0)


def request(kind: int, flags: int, fixed: bytes, *parts: bytes) -> Request:
    """Return a message.

    :param kind: the type of the message: ``RTM_*`` or the number of a generic netlink family.
    :param flags: ``NLM_F_*`` in addition to those that the transport adds.
    :param fixed: the part before the attributes, which are ``parts``.
    """
    body = fixed + b"".join(parts)
    return HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body


def attribute(number: int, value: bytes) -> bytes:
    """Return an attribute with its padding."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, number) + value + bytes(-size & 3)


def u8(number: int, value: int) -> bytes:
    """Return an attribute of 8 bits."""
    return attribute(number, value.to_bytes(1, _ORDER))


def u16(number: int, value: int) -> bytes:
    """Return an attribute of 16 bits."""
    return attribute(number, value.to_bytes(2, _ORDER))


def b16(number: int, value: int) -> bytes:
    """Return an attribute of 16 bits in network order."""
    return attribute(number, value.to_bytes(2, "big"))


def b32(number: int, value: int) -> bytes:
    """Return an attribute of 32 bits in network order."""
    return attribute(number, value.to_bytes(4, "big"))


def u32(number: int, value: int) -> bytes:
    """Return an attribute of 32 bits."""
    return attribute(number, value.to_bytes(4, _ORDER))


def text(number: int, value: str) -> bytes:
    """Return an attribute that is a string with a terminating 0."""
    return attribute(number, os.fsencode(value) + b"\0")


def address(number: int, value: str) -> bytes:
    """Return an attribute that is an IP address."""
    return attribute(number, socket.inet_pton(family(value), value))


def nested(number: int, *parts: bytes) -> bytes:
    """Return an attribute that consists of other attributes."""
    return attribute(number, b"".join(parts))


def attributes(message: bytes, start: int) -> Attributes:
    """Return the attributes of a message from an offset to the end or to the first invalid one."""
    return Attributes(_each(message, start))


def values(octets: bytes) -> list[bytes]:
    """Return the values of a list, which consists of attributes whose numbers have no meaning."""
    return [value for _, value in _each(octets, 0)]


def _each(message: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    end = len(message)
    while start + _ATTRIBUTE.size <= end:
        size, number = _ATTRIBUTE.unpack_from(message, start)
        if size < _ATTRIBUTE.size or start + size > end:
            return
        yield number & _TYPE, message[start + _ATTRIBUTE.size : start + size]
        start += size + 3 & ~3


def family(host: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@functools.lru_cache(4096)
def host(octets: bytes) -> str:
    """Return the text of an IP address."""
    return socket.inet_ntop(socket.AF_INET6 if len(octets) == 16 else socket.AF_INET, octets)


def mac(octets: bytes) -> str:
    """Return the text of a link-layer address."""
    return octets.hex(":")


def mac_octets(text: str) -> bytes:
    """Return the octets of a link-layer address."""
    return bytes.fromhex(text.replace(":", ""))
