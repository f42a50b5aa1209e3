"""Messages of the in-kernel MPTCP path manager (linux/mptcp_pm.h, ip-mptcp(8))."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

import msgspec

from testbed.netlink import codec, generic
from testbed.netlink.codec import Attributes, Request
from testbed.netlink.transport import Netlink

_NAME: Final = "mptcp_pm"  # MPTCP_PM_NAME
EVENTS_GROUP: Final = "mptcp_pm_events"  # MPTCP_PM_EV_GRP_NAME

ADD_ADDR, DEL_ADDR, GET_ADDR, SET_LIMITS, GET_LIMITS, SET_FLAGS = 1, 2, 3, 5, 6, 7
_ADDR, RCV_ADD_ADDRS, SUBFLOWS = 1, 2, 3
# MPTCP_PM_ADDR_ATTR_*
_FAMILY, _ID, _ADDR4, _ADDR6, _PORT, _FLAGS, _IF_IDX = 1, 2, 3, 4, 5, 6, 7

# MPTCP_ATTR_*
_TOKEN, _LOC_ID, _REM_ID, _SADDR4, _SADDR6, _DADDR4, _DADDR6 = 1, 3, 4, 5, 6, 7, 8
_SPORT, _DPORT, _BACKUP, _ERROR, _INTERFACE = 9, 10, 11, 12, 15
_RESET_REASON, _RESET_FLAGS, _SERVER_SIDE = 16, 17, 18

# MPTCP_PM_ADDR_FLAG_*
SIGNAL: Final = 1
SUBFLOW: Final = 2
BACKUP: Final = 4
FULLMESH: Final = 8
IMPLICIT: Final = 16
LAMINAR: Final = 32

_VERSION: Final = 1  # MPTCP_PM_VER


class KernelEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint in the kernel's representation.

    :param flags: a combination of :data:`SIGNAL` and the other flags.
    :param interface: the index of an interface; 0 means any.
    :param port: 0 means the port of the connection.
    """

    address: str
    id: int
    flags: int
    interface: int
    port: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the path manager (``enum mptcp_event_type``) with its attributes.

    :param command: the type of the event.
    :param local: address and port, as is ``remote``.
    :param interface: the index of the interface.
    """

    command: int
    token: int | None
    local: tuple[str, int] | None
    remote: tuple[str, int] | None
    local_id: int | None
    remote_id: int | None
    backup: bool | None
    error: int | None
    interface: int | None
    server_side: bool | None
    reset_reason: int | None
    reset_flags: int | None


def family_number(netlink: Netlink) -> int | None:
    """Return the path manager's generic netlink number, or None if this kernel has none."""
    return generic.number(netlink, _NAME)


def groups(netlink: Netlink) -> dict[str, int] | None:
    """Return the path manager's multicast groups by name, or None if this kernel has none."""
    return generic.groups(netlink, _NAME)


def read_event(message: bytes) -> Event:
    """Return the event that a multicast message of :data:`EVENTS_GROUP` reports."""
    command, _ = generic.HEADER.unpack_from(message, codec.HEADER.size)
    attrs = codec.attributes(message, generic.ATTRIBUTES)

    def number(which: int) -> int | None:
        return attrs.number(which) if which in attrs else None

    def flag(which: int) -> bool | None:
        return bool(attrs.number(which)) if which in attrs else None

    return Event(
        command=command,
        token=number(_TOKEN),
        local=_end(attrs, _SADDR4, _SADDR6, _SPORT),
        remote=_end(attrs, _DADDR4, _DADDR6, _DPORT),
        local_id=number(_LOC_ID),
        remote_id=number(_REM_ID),
        backup=flag(_BACKUP),
        error=number(_ERROR),
        interface=number(_INTERFACE),
        server_side=flag(_SERVER_SIDE),
        reset_reason=number(_RESET_REASON),
        reset_flags=number(_RESET_FLAGS),
    )


def _end(attrs: Attributes, ipv4: int, ipv6: int, port: int) -> tuple[str, int] | None:
    """Return address and port of one end. The attribute has the port in network order."""
    host = attrs.host(ipv4) or attrs.host(ipv6)
    return None if host is None else (host, int.from_bytes(attrs.get(port, b""), "big"))


def message(family: int, command: int, *parts: bytes) -> Request:
    """Return a request to the path manager."""
    return generic.request(family, _VERSION, command, *parts)


def read_limits(netlink: Netlink, family: int) -> tuple[int, int]:
    """Return the namespace's limits on additional subflows and on accepted ADD_ADDRs."""
    answer = codec.attributes(netlink.get(message(family, GET_LIMITS)), generic.ATTRIBUTES)
    return answer.number(SUBFLOWS), answer.number(RCV_ADD_ADDRS)


def dump_endpoints(netlink: Netlink, family: int) -> list[bytes]:
    """Return the namespace's endpoints as encoded by the kernel."""
    return netlink.dump(_get_endpoints(family))


@functools.cache
def _get_endpoints(family: int) -> Request:
    return message(family, GET_ADDR)


def read_endpoints(bodies: Iterable[bytes]) -> tuple[KernelEndpoint, ...]:
    """Decode the endpoints of :func:`dump_endpoints`."""
    return tuple(
        _endpoint(codec.attributes(body, generic.ATTRIBUTES).nested(_ADDR)) for body in bodies
    )


def add_endpoint(family: int, endpoint: KernelEndpoint) -> Request:
    """Return the request that adds an endpoint."""
    host = endpoint.address
    return _about(
        family,
        ADD_ADDR,
        codec.u16(_FAMILY, codec.family(host)),
        codec.address(_ADDR6 if ":" in host else _ADDR4, host),
        codec.u8(_ID, endpoint.id),
        codec.u32(_FLAGS, endpoint.flags),
        codec.u32(_IF_IDX, endpoint.interface),
        codec.u16(_PORT, endpoint.port) if endpoint.port else b"",
    )


def change_endpoint(family: int, number: int, flags: int) -> Request:
    """Return the request that sets the flags BACKUP and FULLMESH of the endpoint with an id."""
    changed = codec.u32(_FLAGS, flags & (BACKUP | FULLMESH))
    return _about(family, SET_FLAGS, codec.u8(_ID, number), changed)


def remove_endpoint(family: int, number: int) -> Request:
    """Return the request that removes the endpoint with an id (1 to 255)."""
    return _about(family, DEL_ADDR, codec.u8(_ID, number))


def _about(family: int, command: int, *parts: bytes) -> Request:
    return message(family, command, codec.nested(_ADDR | codec.NESTED, *parts))


def _endpoint(attrs: Attributes) -> KernelEndpoint:
    return KernelEndpoint(
        address=attrs.host(_ADDR4) or attrs.host(_ADDR6) or "",
        id=attrs.number(_ID),
        flags=attrs.number(_FLAGS),
        interface=attrs.number(_IF_IDX),
        port=attrs.number(_PORT),
    )
