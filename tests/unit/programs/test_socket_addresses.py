"""Addresses as programs write and read them, and who may have which."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

from testbed.packet.address import Address
from testbed.programs import addresses
from testbed.programs.options import REUSEADDR, REUSEPORT, V6ONLY, Options
from testbed.programs.sockets import Phase, Socket, Table
from tests.fakes import Ports

ON = struct.pack("=i", 1)
V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (V4, Address("10.0.1.2", 80)),
        (V4, Address("0.0.0.0", 0)),
        (V6, Address("fd00::1", 65535)),
        (V6, Address("::ffff:10.0.1.2", 80)),
    ],
)
def test_there_and_back(family, address):
    assert addresses.decode(addresses.encode(address, family), family) == address


def test_as_the_kernel_lays_it_out():
    """The kernel itself is the judge: it binds to what we write, and we read what it tells."""
    with socket.socket(V4) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    data = addresses.encode(Address("127.0.0.1", port), V4)
    assert len(data) == 16
    assert data[2:8] == struct.pack("!H", port) + bytes((127, 0, 0, 1))
    assert len(addresses.encode(Address("::1", 1), V6)) == 28


def test_an_ipv4_peer_of_an_ipv6_socket_is_mapped():
    data = addresses.encode(Address("10.0.1.2", 80), V6)
    assert addresses.decode(data, V6) == Address("::ffff:10.0.1.2", 80)


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"", errno.EINVAL),
        (struct.pack("=H", V4) + bytes(4), errno.EINVAL),
        (struct.pack("=H", socket.AF_UNIX) + bytes(20), errno.EAFNOSUPPORT),
    ],
)
def test_bad_addresses(data, number):
    with pytest.raises(OSError, match=os.strerror(number)):
        addresses.decode(data, V4)


def test_any_address_is_the_loopback_s_when_connected_to():
    assert addresses.destination(Address("0.0.0.0", 80)) == Address("127.0.0.1", 80)
    assert addresses.destination(Address("::", 80)) == Address("::1", 80)
    assert addresses.destination(Address("::ffff:10.0.1.2", 80)) == Address("10.0.1.2", 80)


@pytest.fixture
def table():
    return Table(Ports("10.0.1.1", "fd00::1"))


def sock_of(table, number, family=V4, *options):
    sock = Socket(number, family, socket.IPPROTO_TCP, Options())
    for option in options:
        sock.options.set(option, ON)
    table.add(sock)
    return sock


def conflict(table, sock, host, port=80):
    try:
        table.bind(sock, Address(host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return True
    return False


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ((V4, "10.0.1.1"), (V4, "10.0.1.1"), True),
        ((V4, "0.0.0.0"), (V4, "10.0.1.1"), True),
        ((V4, "10.0.1.1"), (V4, "0.0.0.0"), True),
        ((V6, "::"), (V4, "10.0.1.1"), True),
        ((V4, "0.0.0.0"), (V6, "::"), True),
        ((V6, "fd00::1"), (V4, "10.0.1.1"), False),
        ((V6, "::", V6ONLY), (V4, "0.0.0.0"), False),
        ((V4, "0.0.0.0"), (V6, "::", V6ONLY), False),
        ((V4, "10.0.1.1", REUSEPORT), (V4, "10.0.1.1", REUSEPORT), False),
        ((V4, "10.0.1.1", REUSEPORT), (V4, "10.0.1.1"), True),
        ((V4, "10.0.1.1", REUSEADDR), (V4, "10.0.1.1", REUSEADDR), False),
        ((V4, "10.0.1.1", REUSEADDR), (V4, "10.0.1.1"), True),
    ],
    ids=str,
)
def test_who_may_have_the_same_port(table, one, other, clash):
    family, host, *options = one
    assert not conflict(table, sock_of(table, 1, family, *options), host)
    family, host, *options = other
    assert conflict(table, sock_of(table, 2, family, *options), host) is clash


def test_a_port_that_somebody_listens_on_is_not_shared_by_reuseaddr(table):
    first = sock_of(table, 1, V4, REUSEADDR)
    assert not conflict(table, first, "10.0.1.1")
    first.phase = Phase.LISTENING
    assert conflict(table, sock_of(table, 2, V4, REUSEADDR), "10.0.1.1")


def test_a_port_is_given_back_with_its_socket(table):
    first = sock_of(table, 1)
    assert not conflict(table, first, "10.0.1.1")
    table.remove(first)
    assert not conflict(table, sock_of(table, 2), "10.0.1.1")


def test_a_foreign_address(table):
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        table.bind(sock_of(table, 1), Address("10.9.9.9", 80))


def test_any_port(table):
    sock = sock_of(table, 1)
    table.bind(sock, Address("0.0.0.0", 0))
    assert sock.name.port == 40000
