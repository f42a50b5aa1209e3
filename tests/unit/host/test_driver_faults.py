"""Faults of packet sockets."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from typing import Any

import pytest

from testbed.host import endpoints
from testbed.host.devices import filters
from testbed.host.devices.sockets import Input, Receiver
from testbed.host.driver import Host
from testbed.packet.address import Address
from tests.isolation import isolated

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def loopback_up() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


@pytest.mark.sandbox
@isolated
def test_packets_that_come_before_the_filter_are_thrown_away() -> None:
    loopback_up()
    attach = filters.attach

    def late(sock: socket.socket, program: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"early", ("127.0.0.1", 9))
        attach(sock, program)

    filters.attach = late
    try:
        Input(socket.AF_INET, Receiver()).close()
    finally:
        filters.attach = attach


@pytest.mark.interpreted
@pytest.mark.sandbox
@isolated
def test_ports_that_cannot_be_listened_to_are_given_back() -> None:
    loopback_up()

    async def main() -> None:
        host = Host(endpoints.tcp())
        fails = True

        def listen_to(_blocks: object) -> None:
            if fails:
                raise OSError(12, "no memory for a filter")

        for each in vars(host._device)["_sockets"]:
            each.listen_to = listen_to
        for _ in range(3):
            with pytest.raises(OSError, match="no memory"):
                host.port_for("127.0.0.1", Address("127.0.0.1", 80))
        with pytest.raises(OSError, match="no memory"):
            await host.start_server(lambda *_: None, Address("127.0.0.1", 5001))
        assert not host._ports._users
        fails = False
        host._sweep()
        assert not host._ports._guards
        host.close()

    asyncio.run(asyncio.wait_for(main(), 20))
