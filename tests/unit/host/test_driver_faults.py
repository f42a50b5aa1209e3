"""What goes wrong beside the stack takes nothing away from other connections."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from typing import Any

import pytest

from testbed.host import endpoints, filters
from testbed.host.driver import Host
from testbed.host.sockets import Input
from testbed.packet.address import Address
from testbed.packet.segment import Segment
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

    async def main() -> list[bytes | BaseException]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        host = Host(endpoints.tcp())
        server = await host.start_server(on_connection, Address("127.0.0.1", 5001))
        pairs = await asyncio.gather(
            *(host.open_connection(Address("127.0.0.1", 5001)) for _ in range(2))
        )
        came = await asyncio.gather(*(reader.read() for reader, _ in pairs), return_exceptions=True)
        server.close()
        host.close()
        return came

    came = asyncio.run(asyncio.wait_for(main(), 20))
    assert b"hello" in came
    assert any(isinstance(one, ConnectionResetError) for one in came)
    assert told == ["the application's own fault"]


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

        for each in host._inputs:
            each.listen_to = listen_to  # type: ignore[method-assign]
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


@pytest.mark.sandbox
@isolated
def test_tap_that_raises_takes_no_packet_from_others() -> None:
    """What comes in one batch with the packet is dealt with, and so is what leaves with it."""
    loopback_up()
    told: list[str] = []

    class Faulty:
        def segment(self, segment: Segment, now: int) -> None:
            del now
            if segment.payload == b"bad":
                raise RuntimeError("the tap's own fault")

        def close(self) -> None:
            pass

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        host = Host(endpoints.tcp(), tap=Faulty())
        server = await host.start_server(serve, Address("127.0.0.1", 5001))
        _, bad = await host.open_connection(Address("127.0.0.1", 5001))
        reader, good = await host.open_connection(Address("127.0.0.1", 5001))
        bad.write(b"bad")
        good.write(b"good")
        good.write_eof()
        came = await reader.read()
        server.close()
        host.close()
        return came

    assert asyncio.run(asyncio.wait_for(main(), 20)) == b"good"
    assert "the tap's own fault" in told
