"""pyroute2's classes, for messages that are rare: see :mod:`testbed.netlink.codec` for others."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from pyroute2.netlink import nlmsg

from testbed.netlink.codec import Request

Message = TypeVar("Message", bound=nlmsg)


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
