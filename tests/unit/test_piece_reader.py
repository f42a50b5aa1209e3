"""The reader of our streams: it does what asyncio's does, without copying what is large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.streams.reader import WHOLE, PieceReader

LIMIT = 100


class Source:
    """A transport that records its calls."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


Make = Callable[[], asyncio.StreamReader]


def ours(limit: int = LIMIT) -> PieceReader:
    return PieceReader(limit, asyncio.get_running_loop())


def theirs() -> asyncio.StreamReader:
    return asyncio.StreamReader(limit=LIMIT, loop=asyncio.get_running_loop())


def run(test: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(test(), 10))


def test_a_large_piece_is_read_as_the_object_it_is() -> None:
    async def test() -> None:
        reader = ours()
        first, second = bytes(WHOLE), bytes(2 * WHOLE)
        for piece in (first, second):
            reader.feed_data(piece)
        assert await reader.read(1 << 20) is first
        assert await reader.read(1 << 20) is second

    run(test)


def test_small_pieces_are_read_together() -> None:
    async def test() -> None:
        reader = ours()
        for piece in (b"ab", b"cd", b"ef"):
            reader.feed_data(piece)
        assert await reader.read(5) == b"abcde"
        assert await reader.read(5) == b"f"

    run(test)


@pytest.mark.parametrize("make", [ours, theirs])
def test_reading_is_paused_at_twice_the_limit_and_goes_on_at_the_limit(make: Make) -> None:
    async def test() -> None:
        reader, source = make(), Source()
        reader.set_transport(source)  # type: ignore[arg-type]
        reader.feed_data(bytes(2 * LIMIT))
        assert source.told == []
        reader.feed_data(b"x")
        reader.feed_data(b"x")
        assert source.told == ["pause"]
        await reader.read(LIMIT + 1)
        assert source.told == ["pause"]
        await reader.read(1)
        assert source.told == ["pause", "resume"]

    run(test)


@pytest.mark.parametrize("make", [ours, theirs])
def test_reading_goes_on_where_more_is_waited_for_than_the_limit_lets_in(make: Make) -> None:
    async def test() -> None:
        reader, source = make(), Source()
        reader.set_transport(source)  # type: ignore[arg-type]
        reader.feed_data(bytes(3 * LIMIT))
        reading = asyncio.ensure_future(reader.readexactly(4 * LIMIT))
        await asyncio.sleep(0)
        assert source.told == ["pause", "resume"]
        reader.feed_data(bytes(LIMIT))
        assert await reading == bytes(4 * LIMIT)

    run(test)


@pytest.mark.parametrize("make", [ours, theirs])
def test_an_error_wakes_who_waits_and_meets_who_reads_later(make: Make) -> None:
    async def test() -> None:
        reader = make()
        reading = asyncio.ensure_future(reader.read(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another coroutine"):
            await reader.readexactly(1)
        reader.set_exception(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError):
            await reading
        for read in (reader.read(), reader.readexactly(1), reader.readline()):
            with pytest.raises(ConnectionResetError):
                await read
        assert isinstance(reader.exception(), ConnectionResetError)

    run(test)


@pytest.mark.parametrize("make", [ours, theirs])
def test_who_is_cancelled_leaves_the_reader_to_others(make: Make) -> None:
    async def test() -> None:
        reader = make()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await reader.read(1)
        reader.feed_data(b"late")
        assert await reader.read(9) == b"late"

    run(test)


def test_a_taker_gets_what_is_there_then_each_piece_at_once_until_the_end() -> None:
    async def test() -> None:
        reader, taken = ours(), []
        reader.feed_data(b"ab")
        reader.feed_data(b"cd")
        giving = asyncio.ensure_future(reader.give_to(taken.append))
        await asyncio.sleep(0)
        reader.feed_data(b"ef")
        reader.feed_data(b"gh")
        assert taken == [b"abcd", b"ef", b"gh"]  # and no task was woken for the last two
        reader.feed_eof()
        await giving
        assert reader.at_eof()

    run(test)


def test_what_a_taker_raises_ends_the_giving_alone() -> None:
    async def test() -> None:
        reader = ours()
        giving = asyncio.ensure_future(reader.give_to(lambda data: 1 // len(data[1:])))
        await asyncio.sleep(0)
        reader.feed_data(b"x")
        reader.feed_data(b"rest")
        with pytest.raises(ZeroDivisionError):
            await giving
        assert await reader.read(9) == b"rest"

    run(test)


def test_a_taker_that_is_cancelled_leaves_the_rest_to_others() -> None:
    async def test() -> None:
        reader, taken = ours(), []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await reader.give_to(taken.append)
        reader.feed_data(b"late")
        assert await reader.read(9) == b"late"
        reader.set_exception(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError):
            await reader.give_to(taken.append)
        assert taken == []

    run(test)


@pytest.mark.parametrize("make", [ours, theirs])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_is_an_error_and_is_thrown_away(make: Make, end: bytes) -> None:
    async def test() -> bytes:
        reader = make()
        reader.feed_data(b"x" * (LIMIT + 9) + end)
        if end:
            reader.feed_data(b"next\n")
        with pytest.raises(ValueError, match="limit"):
            await reader.readline()
        reader.feed_data(b"then\n")
        return await reader.readline()

    assert run(test) == (b"next\n" if end else b"then\n")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.binary(max_size=30).map(lambda some: some + b"\n;")),
        st.tuples(st.just("feed"), st.binary(min_size=1, max_size=30)),
        st.tuples(st.just("read"), st.integers(0, 40)),
        st.tuples(st.just("readexactly"), st.integers(0, 40)),
        st.tuples(st.just("readuntil"), st.sampled_from([b"\n", b"\n;", b"\0\0"])),
        st.tuples(st.just("readline"), st.none()),
        st.tuples(st.just("feed_eof"), st.none()),
    ),
    max_size=25,
)


async def outcome(reader: asyncio.StreamReader, name: str, argument: Any) -> Any:
    """Return what a call gives or raises; one that has to wait is given up."""
    call = getattr(reader, name)
    task = asyncio.ensure_future(call() if argument is None else call(argument))
    for _ in range(3):
        await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        return "waits"
    error = task.exception()
    if error is None:
        return task.result()
    partial = getattr(error, "partial", getattr(error, "consumed", None))
    return type(error), partial


@given(steps)
def test_it_reads_what_asyncios_reader_reads(chosen: list[tuple[str, Any]]) -> None:
    async def test() -> None:
        readers = ours(), theirs()
        ended = False
        for name, argument in chosen:
            if name == "feed" and not ended:
                for reader in readers:
                    reader.feed_data(argument)
            elif name == "feed_eof":
                ended = True
                for reader in readers:
                    reader.feed_eof()
            elif name.startswith("read"):
                one, other = [await outcome(reader, name, argument) for reader in readers]
                assert one == other, name
                assert readers[0].at_eof() == readers[1].at_eof()
        for reader in readers:
            reader.feed_eof()
        one, other = [await reader.read() for reader in readers]
        assert one == other

    run(test)


def test_lines_can_be_iterated_over() -> None:
    async def test() -> list[bytes]:
        reader = ours()
        reader.feed_data(b"one\ntwo\nthr")
        reader.feed_data(b"ee")
        reader.feed_eof()
        return [line async for line in reader]

    assert run(test) == [b"one\n", b"two\n", b"three"]
