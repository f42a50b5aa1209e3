"""``struct sockaddr_in`` and ``sockaddr_in6``, and their meaning for a socket of a family."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from testbed.packet.address import Address, pack, unmapped, unpack

ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - any address, by name
_LOOPBACK: Final = {ANY[socket.AF_INET]: "127.0.0.1", ANY[socket.AF_INET6]: "::1"}
_SIZE: Final = {socket.AF_INET: 16, socket.AF_INET6: 24}  # the minimum that the kernel accepts
_IPV4: Final = struct.Struct("!H4s8x")
_IPV6: Final = struct.Struct("!HI16s")
_MAPPED: Final = "::ffff:"


def decode(data: bytes, family: int) -> Address:
    """Return the address that a program passed for a socket of a family.

    An IPv4 address of an IPv6 socket stays in its mapped form.

    :raises OSError: EINVAL: the data is too short; EAFNOSUPPORT: the address has another family.
    """
    if len(data) < 2:
        raise _error(errno.EINVAL)
    (given,) = struct.unpack_from("=H", data)
    if given != family:
        raise _error(errno.EAFNOSUPPORT)
    if len(data) < _SIZE[socket.AddressFamily(family)]:
        raise _error(errno.EINVAL)
    if family == socket.AF_INET:
        port, packed = _IPV4.unpack_from(data, 2)
    else:
        port, _, packed = _IPV6.unpack_from(data, 2)
    return Address(unpack(packed), port)


def is_unspecified(data: bytes) -> bool:
    """Return whether a program passed no address (AF_UNSPEC)."""
    return data[:2] == struct.pack("=H", socket.AF_UNSPEC)


def encode(address: Address, family: int) -> bytes:
    """Return an address in the form of a socket's family; IPv4 on IPv6 is mapped."""
    if family == socket.AF_INET:
        return struct.pack("=H", family) + _IPV4.pack(address.port, pack(unmapped(address.host)))
    host = address.host if ":" in address.host else _MAPPED + address.host
    return struct.pack("=H", family) + _IPV6.pack(address.port, 0, pack(host)) + bytes(4)


def destination(address: Address) -> Address:
    """Return the destination for connect(2): the unspecified address means the loopback address."""
    host = unmapped(address.host)
    return Address(_LOOPBACK.get(host, host), address.port)


def is_any(host: str) -> bool:
    """Return whether a host is the unspecified address."""
    return unmapped(host) in _LOOPBACK


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
