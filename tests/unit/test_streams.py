"""Streams over an endpoint that does what the test says."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.stack.connection import (
    Closed,
    Connected,
    ConnectionFailure,
    ErrorKind,
    Event,
    Readable,
    Writable,
)
from testbed.stack.options import SocketOptions
from testbed.streams import error_of
from tests.scripted import (
    CLIENT,
    OUTGOING,
    SERVER,
    Bench,
    ScriptedConnection,
    run,
)


def test_a_connection_opens_when_the_stack_says_so() -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        assert writer.get_extra_info("connection") is connection
        assert writer.get_extra_info("sockname") == ("10.0.0.1", 40000)
        assert writer.get_extra_info("peername") == ("10.0.0.2", 80)
        assert bench.driver.woken

    run(test)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (ErrorKind.REFUSED, errno.ECONNREFUSED),
        (ErrorKind.TIMED_OUT, errno.ETIMEDOUT),
        (ErrorKind.UNREACHABLE, errno.EHOSTUNREACH),
    ],
)
def test_opening_fails_with_the_errno_of_the_failure(kind: ErrorKind, number: int) -> None:
    async def test(bench: Bench) -> None:
        opening = asyncio.ensure_future(bench.streams.open_connection(OUTGOING))
        await asyncio.sleep(0)
        bench.fail(bench.driver.endpoint.connections[0], kind)
        with pytest.raises(OSError, match=r".") as caught:
            await opening
        assert caught.value.errno == number

    run(test)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_failure_has_an_errno(kind: ErrorKind) -> None:
    error = error_of(ConnectionFailure(kind, "why"))
    assert error.errno
    assert "why" in str(error)


def test_a_protocol_may_end_its_side_as_soon_as_the_connection_is_open() -> None:
    class Brief(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write_eof()

    async def test(bench: Bench) -> None:
        opening = asyncio.ensure_future(bench.streams.create_connection(Brief(), OUTGOING))
        await asyncio.sleep(0)
        (connection,) = bench.driver.endpoint.connections
        bench.tell(connection, Connected())
        await opening
        assert connection.calls == ["shutdown"]

    run(test)


def test_opening_that_is_cancelled_aborts_the_connection() -> None:
    async def test(bench: Bench) -> None:
        opening = asyncio.ensure_future(bench.streams.open_connection(OUTGOING))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        connection = bench.driver.endpoint.connections[0]
        assert connection.calls == ["abort"]
        bench.fail(connection, ErrorKind.ABORTED)  # no program uses the connection any more

    run(test)


def test_data_and_its_end_reach_the_reader() -> None:
    async def test(bench: Bench) -> None:
        reader, _, connection = await bench.opened()
        bench.arrive(connection, b"one")
        bench.arrive(connection, b"two")
        bench.end(connection)
        assert await reader.read() == b"onetwo"

    run(test)


def test_a_full_reader_leaves_data_in_the_stack() -> None:
    async def test(bench: Bench) -> None:
        reader, _, connection = await bench.opened()
        bench.arrive(connection, b"x" * 2001)
        bench.arrive(connection, b"y" * 500)
        bench.end(connection)
        assert len(connection.arrived) == 500
        assert await reader.readexactly(2001) == b"x" * 2001
        assert await reader.read() == b"y" * 500

    run(test)


def test_data_left_in_the_stack_outlives_an_orderly_end() -> None:
    async def test(bench: Bench) -> None:
        reader, _, connection = await bench.opened()
        bench.arrive(connection, b"x" * 2001)
        bench.arrive(connection, b"y")
        connection.ended = True
        bench.tell(connection, Closed())
        assert await reader.read() == b"x" * 2001 + b"y"

    run(test)


def test_the_writer_waits_while_the_stack_is_full() -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        connection.room = 10
        data = bytes(range(256)) * 1024
        writer.write(data)
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        connection.room = 100_000
        bench.tell(connection, Writable())
        await asyncio.sleep(0)
        assert not draining.done()
        connection.room = 1_000_000
        bench.tell(connection, Writable())
        await draining
        assert connection.sent == data
        assert writer.transport.get_write_buffer_size() == 0

    run(test)


def test_the_end_is_written_after_the_data() -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        connection.room = 3
        writer.write(b"abcdef")
        writer.write_eof()
        assert connection.calls == []
        connection.room = 3
        bench.tell(connection, Writable())
        assert connection.sent == b"abcdef"
        assert connection.calls == ["shutdown"]
        with pytest.raises(RuntimeError):
            writer.write(b"more")

    run(test)


def test_closing_flushes_first() -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        connection.room = 3
        writer.write(b"abcdef")
        writer.close()
        closing = asyncio.ensure_future(writer.wait_closed())
        await asyncio.sleep(0)
        assert not closing.done()
        assert connection.calls == []
        connection.room = 3
        bench.tell(connection, Writable())
        await closing
        assert connection.sent == b"abcdef"
        assert connection.calls == ["close"]

    run(test)


def test_a_reset_reaches_reader_and_writer() -> None:
    async def test(bench: Bench) -> None:
        reader, writer, connection = await bench.opened()
        connection.room = 0
        writer.write(b"x" * 100_000)
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0)
        bench.fail(connection, ErrorKind.RESET)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        with pytest.raises(ConnectionResetError):
            await draining
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()

    run(test)


def test_a_broken_pipe_waits_for_the_event_that_says_why() -> None:
    async def test(bench: Bench) -> None:
        reader, writer, connection = await bench.opened()
        connection.broken = True
        writer.write(b"into the void")
        bench.fail(connection, ErrorKind.TIMED_OUT)
        with pytest.raises(TimeoutError):
            await reader.read()
        writer.write(b"ignored")

    run(test)


def test_aborting_resets_at_once() -> None:
    async def test(bench: Bench) -> None:
        reader, writer, connection = await bench.opened()
        connection.room = 0
        writer.write(b"x" * 100_000)
        writer.transport.abort()
        writer.transport.abort()
        assert connection.calls == ["abort"]
        assert await reader.read() == b""
        bench.fail(connection, ErrorKind.ABORTED)
        await writer.wait_closed()

    run(test)


def incoming(local: Address) -> ScriptedConnection:
    return ScriptedConnection(Flow(local, CLIENT))


def test_a_server_gets_its_connections_and_no_others() -> None:
    async def test(bench: Bench) -> None:
        await bench.streams.start_server(bench.accept, Address("0.0.0.0", 80))
        server = await bench.streams.start_server(bench.accept, SERVER)
        connections = [incoming(SERVER), incoming(Address("10.9.9.9", 80))]
        for connection in connections:
            bench.tell(connection, Connected())
        stranger = incoming(Address("fd00::1", 80))
        bench.tell(stranger, Connected())
        await asyncio.sleep(0)
        assert stranger.calls == ["abort"]
        got = [writer.get_extra_info("connection") for _, writer in bench.accepted]
        assert got == connections
        server.close()
        server.close()
        assert [listener.closed for listener in bench.driver.endpoint.listeners] == [False, True]
        reader, writer = bench.accepted[0]
        bench.arrive(connections[0], b"still here")
        assert await reader.read(100) == b"still here"
        for _, writer in bench.accepted:
            writer.close()
            await writer.wait_closed()

    run(test)


def test_finished_waits_for_the_stack() -> None:
    async def test(bench: Bench) -> None:
        await bench.streams.finished()
        _, writer, connection = await bench.opened()
        writer.close()
        await writer.wait_closed()
        finished = asyncio.ensure_future(bench.streams.finished())
        await asyncio.sleep(0)
        assert not finished.done()
        bench.tell(connection, Closed())
        await finished

    run(test)


def test_water_marks() -> None:
    async def test(bench: Bench) -> None:
        _, writer, _ = await bench.opened()
        transport: Any = writer.transport
        transport.set_write_buffer_limits(high=8)
        assert transport.get_write_buffer_limits() == (2, 8)
        with pytest.raises(ValueError, match="low"):
            transport.set_write_buffer_limits(high=1, low=2)

    run(test)


@pytest.mark.parametrize("event", [Readable(), Closed(None)])
def test_program_that_raises_ends_its_own_connection(event: Event) -> None:
    """The driver of the endpoint gets no exception, and serves other connections."""

    async def test(bench: Bench) -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(str(context["exception"]))
        )
        reader, _, connection = await bench.opened()
        other, _, untouched = await bench.opened()

        def raises(data: bytes) -> None:
            raise RuntimeError(f"cannot take {data!r}")

        reader.feed_data = raises  # type: ignore[method-assign]
        connection.arrived += b"octets"
        bench.tell(connection, event)
        assert told == ["cannot take b'octets'"]
        assert "abort" in connection.calls
        bench.arrive(untouched, b"more")
        assert await other.read(10) == b"more"
        assert "abort" not in untouched.calls

    run(test)


def test_fault_in_the_stack_is_the_cause_of_the_error() -> None:
    async def test(bench: Bench) -> None:
        reader, _, connection = await bench.opened()
        bench.tell(connection, Closed(ConnectionFailure.internal(ZeroDivisionError("why"))))
        with pytest.raises(OSError, match="why") as caught:
            await reader.read(10)
        assert caught.value.errno == errno.EIO
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    run(test)


def test_fault_of_a_connection_without_a_program_is_told_to_the_loop() -> None:
    async def test(bench: Bench) -> None:
        told: list[Exception] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(context["exception"])
        )
        error = ZeroDivisionError("why")
        bench.tell(ScriptedConnection(OUTGOING), Closed(ConnectionFailure.internal(error)))
        assert told == [error]

    run(test)


def test_options_of_sockets_reach_the_endpoint() -> None:
    async def test(bench: Bench) -> None:
        told, served = SocketOptions(nodelay=True), SocketOptions(mss=500)
        opening = asyncio.ensure_future(bench.streams.open_connection(OUTGOING, options=told))
        await asyncio.sleep(0)
        await bench.streams.start_server(bench.accept, SERVER, served)
        assert bench.driver.endpoint.options == [told, served]
        opening.cancel()

    run(test)


@pytest.mark.parametrize("view", [False, True])
def test_what_is_written_may_be_changed_afterwards(view: bool) -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        connection.room = 0
        data = bytearray(b"x" * 100_000)
        writer.write(memoryview(data) if view else data)
        data[:] = b"y" * len(data)
        connection.room = 1_000_000
        bench.tell(connection, Writable())
        assert connection.sent == b"x" * 100_000

    run(test)


def test_octets_that_cannot_change_reach_the_stack_without_a_copy() -> None:
    async def test(bench: Bench) -> None:
        _, writer, connection = await bench.opened()
        whole = b"x" * 100_000
        given: list[object] = []

        def send(data: memoryview) -> int:
            given.append(data.obj)
            return len(data)

        connection.send = send
        writer.write(memoryview(whole)[1000:])
        assert given[0] is whole

    run(test)
