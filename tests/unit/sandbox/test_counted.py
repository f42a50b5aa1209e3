"""Counters that programs on our own stack report to a sandbox."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest

from testbed.mib import OwnCounters
from testbed.sandbox.holder.counted import Counted


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Counted]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.settimeout(0)
        yield ours, Counted(theirs)


def tell(ours: socket.socket, source: str, count: int, *, over: bool = False) -> None:
    told = OwnCounters(source=source, values={"TcpInSegs": count}, over=over)
    ours.send(msgspec.json.encode(told))


def test_the_last_word_of_each_program_counts(ends: tuple[socket.socket, Counted]) -> None:
    ours, counted = ends
    assert counted.total() == {}
    tell(ours, "one", 1)
    tell(ours, "one", 3)
    tell(ours, "two", 10)
    assert counted.total() == {"TcpInSegs": 13}
    tell(ours, "one", 4, over=True)
    tell(ours, "two", 11)
    ours.send(b"not from us")
    assert counted.total() == {"TcpInSegs": 15}


def test_programs_that_were_killed_take_no_memory(ends: tuple[socket.socket, Counted]) -> None:
    ours, counted = ends
    for number in range(300):
        tell(ours, str(number), 1)
        counted.take()
    assert counted.total() == {"TcpInSegs": 300}
    assert len(counted._there) <= 256
