"""Netlink messages by pyroute2's classes, to hold those of :mod:`testbed.netlink.codec` against."""

from __future__ import annotations

from typing import Any, TypeVar

from pyroute2.netlink import nlmsg

from testbed.netlink.codec import Request

Message = TypeVar("Message", bound=nlmsg)


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
