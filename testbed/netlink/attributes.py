"""pyroute2's classes, for messages that are rare: see :mod:`testbed.netlink.codec` for others.

Attributes are read out of decoded messages without decoding those nobody asked for.
"""

from __future__ import annotations

import struct
import types
from typing import Any, ClassVar, TypeVar

from pyroute2.netlink import NLA_F_NESTED, NLA_F_NET_BYTEORDER, nla_slot, nlmsg

from testbed.netlink.codec import Request

Message = TypeVar("Message", bound=nlmsg)

_HEADER = struct.Struct("=HH")  # struct nlattr: length, type
_TYPE = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER)


class OwnMap:
    """Mixin for a pyroute2 class that we extend: its ``nla_map`` is its own, its ``get`` plain.

    pyroute2 compiles a map when the first message of a class is made, and a class made later
    inherits the compiled one: without this the result depends on what was decoded before.  Its
    own ``get`` looks through nested attributes too, for every field it encodes.
    """

    _nlmsg_base__compiled_nla: ClassVar[bool]
    get = dict.get

    def __init_subclass__(cls) -> None:
        """Have the map compiled for this class itself."""
        super().__init_subclass__()
        cls._nlmsg_base__compiled_nla = False


class Only(OwnMap):
    """Mixin for a pyroute2 message: skip every attribute that ``nla_map`` does not name.

    The kernel describes a link by some fifty attributes; making an object of each takes ten times
    as long as of the six we read.  The map gives numbers: ``(3, "IFLA_IFNAME", "asciiz")``.
    """

    nla_map: ClassVar[tuple[tuple[int, str, str], ...]]

    def decode_nlas(self: Any, offset: int) -> None:
        """Make a slot, decoded when it is read, of each attribute in the map."""
        names = {number: (name, kind) for number, name, kind in self.nla_map}
        end = self.offset + self.length
        while offset + _HEADER.size <= end:
            length, number = _HEADER.unpack_from(self.data, offset)
            known = names.get(number & _TYPE)
            if known is not None:
                kind = getattr(self, known[1])
                if isinstance(kind, types.FunctionType):  # it chooses the class
                    kind = kind(self)
                slot = kind(data=self.data, offset=offset, parent=self, length=length)
                self["attrs"].append(nla_slot(known[0], slot))
            offset += (max(length, _HEADER.size) + 3) & ~3


def attributes(message: Any) -> dict[str, Any]:
    """Return name -> value of a message's attributes."""
    return {slot.name: slot.value for slot in message["attrs"]}


def encode(message: nlmsg, kind: int, flags: int = 0, /, **fields: object) -> Request:
    """Fill a message of pyroute2's and return it encoded.

    :param kind: the type of the message (``RTM_*``, or a generic netlink family's number).
    :param flags: ``NLM_F_*`` of the request beyond those the transport adds.
    :param fields: of the message, ``attrs`` among them.
    """
    message.update(fields)
    message["header"] = {"type": kind, "flags": flags}
    message.encode()
    return bytes(message.data)


def decode(kind: type[Message], body: bytes) -> Message:
    """Return what the kernel sent as a ``kind``."""
    message: Message = kind(body)
    message.decode()
    return message
