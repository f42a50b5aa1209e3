"""A host over a device in memory: what goes wrong beside the stack takes nothing from others."""

from __future__ import annotations

import asyncio

import pytest

from testbed.host import endpoints
from testbed.host.driver import Host
from testbed.packet.address import Address
from testbed.packet.segment import Segment
from tests.memory import InMemory, cable

HERE, THERE = "10.0.0.1", "10.0.0.2"
SERVER = Address(HERE, 5001)


def told_of_faults() -> list[str]:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    return told


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


def test_two_hosts_talk_and_leave() -> None:
    async def main() -> None:
        ends = InMemory(HERE), InMemory(THERE)
        cable(*ends)
        server, client = (Host(endpoints.tcp(), device=end) for end in ends)
        listening = await server.start_server(echo, SERVER)
        reader, writer = await client.open_connection(SERVER)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
        listening.close()
        await asyncio.gather(client.finish(), server.finish())
        assert all(end.closed for end in ends)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_callback_that_raises_takes_the_turn_from_no_other() -> None:
    accepted: list[int] = []

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        accepted.append(1)
        if len(accepted) == 1:
            raise RuntimeError("the application's own fault")
        writer.write(b"hello")
        writer.close()

    async def main() -> None:
        told = told_of_faults()
        host = Host(endpoints.tcp(), device=InMemory(HERE))
        await host.start_server(on_connection, SERVER)
        pairs = await asyncio.gather(*(host.open_connection(SERVER) for _ in range(2)))
        came = await asyncio.gather(*(reader.read() for reader, _ in pairs), return_exceptions=True)
        for _, writer in pairs:
            writer.close()
        host.close()
        assert b"hello" in came
        assert any(isinstance(one, ConnectionResetError) for one in came)
        assert told == ["the application's own fault"]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_callback_may_close_the_host() -> None:
    async def main() -> None:
        told = told_of_faults()
        device = InMemory(HERE)
        host = Host(endpoints.tcp(), device=device)

        def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            host.close()

        await host.start_server(close, SERVER)
        _, writer = await host.open_connection(SERVER)
        while not device.closed:
            await asyncio.sleep(0)
        writer.close()
        assert not told

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_tap_that_raises_takes_no_packet_away() -> None:
    class Faulty:
        def segment(self, segment: Segment, now: int) -> None:
            if segment.payload == b"bad":
                raise RuntimeError("the tap's own fault")

    async def main() -> None:
        told = told_of_faults()
        host = Host(endpoints.tcp(), device=InMemory(HERE), tap=Faulty())
        await host.start_server(echo, SERVER)
        for word in (b"bad", b"good"):
            reader, writer = await host.open_connection(SERVER)
            writer.write(word)
            writer.write_eof()
            assert await reader.read() == word
            writer.close()
        host.close()
        assert set(told) == {"the tap's own fault"}

    asyncio.run(asyncio.wait_for(main(), 20))


def test_an_address_has_to_be_the_devices() -> None:
    async def main() -> None:
        host = Host(endpoints.tcp(), device=InMemory(HERE))
        with pytest.raises(OSError, match="Cannot assign"):
            await host.open_connection(SERVER, THERE)
        with pytest.raises(OSError, match="Network is unreachable"):
            await host.open_connection(Address("fd00::1", 80))
        host.close()

    asyncio.run(asyncio.wait_for(main(), 20))
