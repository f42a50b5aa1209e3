"""What goes wrong beside the stack takes nothing away from other connections."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from typing import Any

import pytest

from testbed.host import endpoints, filters, sockets
from testbed.host.driver import Host
from testbed.host.sockets import Input
from testbed.stack.packet.address import Address
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
        Input(socket.AF_INET).close()
    finally:
        filters.attach = attach
    assert sockets.filters is filters


@pytest.mark.sandbox
@isolated
def test_a_callback_that_raises_takes_the_turn_from_no_other() -> None:
    loopback_up()
    told: list[str] = []
    accepted: list[int] = []

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        accepted.append(1)
        if len(accepted) == 1:
            raise RuntimeError("the application's own fault")
        writer.write(b"hello")
        writer.write_eof()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        host = Host(endpoints.tcp())
        server = await host.start_server(on_connection, Address("127.0.0.1", 5001))
        pairs = await asyncio.gather(
            *(host.open_connection(Address("127.0.0.1", 5001)) for _ in range(2))
        )
        both = [asyncio.ensure_future(reader.read()) for reader, _ in pairs]
        done, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        server.close()
        host.close()
        return next(iter(done)).result()

    assert asyncio.run(asyncio.wait_for(main(), 20)) == b"hello"
    assert told == ["the application's own fault"]
