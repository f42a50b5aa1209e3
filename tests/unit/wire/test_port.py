"""Receiving in batches, on sockets that need no privilege."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from testbed.libc import BATCH, Poller
from testbed.wire.emulator import port
from testbed.wire.emulator.pool import VNET_HEADER, Pool
from testbed.wire.emulator.port import Receiver

SO_TIMESTAMPNS = 35


class Source:
    """Stands for a port: frames are datagrams."""

    def __init__(self) -> None:
        self.inside, self.outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.inside.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.fd = self.inside.fileno()
        self.overrun_frames = 0
        self.latest_ns = 0

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.outside.send(bytes(VNET_HEADER) + frame)


@pytest.fixture
def source() -> Iterator[Source]:
    it = Source()
    with it.inside, it.outside:
        yield it


def frame_of(pool: Pool, handle: int) -> bytes:
    return bytes(pool._frame(handle, pool.length(handle)))[VNET_HEADER:]


def test_a_batch_has_frames_and_lengths(source: Source) -> None:
    pool = Pool()
    receiver = Receiver(pool)
    source.send(b"one", b"three")
    batch = receiver.receive(source)
    assert [frame_of(pool, handle) for handle in batch.handles] == [b"one", b"three"]
    assert batch.sizes == [3, 5]
    assert receiver.receive(source) == ([], [], [])


def test_frames_arrive_when_they_came_and_not_when_they_are_read(source: Source) -> None:
    receiver = Receiver(Pool())

    def seen_as_it_was() -> bool:
        before_ns = time.monotonic_ns()
        source.send(b"x")
        after_ns = time.monotonic_ns()
        while time.monotonic_ns() < after_ns + 20_000_000:
            pass
        (arrival_ns,) = receiver.receive(source).arrivals_ns
        assert arrival_ns > before_ns - 1_000_000  # one clock may run faster than the other
        return arrival_ns < after_ns + 1_000_000

    # An interrupt in between makes one attempt fail.
    assert any(seen_as_it_was() for _ in range(100))


class Interrupted:
    """The clocks of a process that is interrupted for a while between two looks at them."""

    def __init__(self, at_call: int, for_ns: int) -> None:
        self.calls, self.at_call, self.for_ns = 0, at_call, for_ns

    def _lost_ns(self) -> int:
        self.calls += 1
        return self.for_ns if self.calls >= self.at_call else 0

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._lost_ns()

    def time_ns(self) -> int:
        return time.time_ns() + self._lost_ns()


@pytest.mark.parametrize("at_call", range(1, 7))
def test_frames_arrive_in_order_and_never_early_when_the_process_is_interrupted(
    source: Source, monkeypatch: pytest.MonkeyPatch, at_call: int
) -> None:
    """A frame that seemed to have come before another would overtake it."""
    monkeypatch.setattr(port, "time", Interrupted(at_call, 50_000_000))
    receiver = Receiver(Pool())
    arrivals_ns: list[int] = []
    for _ in range(3):
        before_ns = time.monotonic_ns()
        source.send(b"one", b"two")
        arrivals_ns += receiver.receive(source).arrivals_ns
        assert arrivals_ns[-2] > before_ns - 1_000_000
    assert arrivals_ns == sorted(arrivals_ns)


def test_slots_are_not_overwritten_while_in_use(source: Source) -> None:
    pool = Pool()
    receiver = Receiver(pool)
    kept = []
    for number in range(3 * BATCH):
        source.send(b"%d" % number)
        kept += receiver.receive(source).handles
    assert [frame_of(pool, handle) for handle in kept] == [b"%d" % n for n in range(3 * BATCH)]


def test_frames_without_memory_for_them_are_counted_and_harm_nobody(source: Source) -> None:
    pool = Pool(2**24)
    receiver = Receiver(pool)
    kept: list[int] = []
    number = 0
    while not source.overrun_frames:
        source.send(b"%d" % number)
        kept += receiver.receive(source).handles
        number += 1
    assert len(kept) == number - 1 > 100
    assert [frame_of(pool, handle) for handle in kept] == [b"%d" % n for n in range(len(kept))]
    assert pool.copy(kept[0]) is None
    pool.give_back(kept[:1])
    source.send(b"again")
    (handle,) = receiver.receive(source).handles
    assert frame_of(pool, handle) == b"again"


def test_the_poller_waits_shorter_than_a_millisecond_and_sees_input(source: Source) -> None:
    poller = Poller()
    poller.register(source.fd)
    assert poller.wait(0) == []
    assert poller.wait(1000) == []
    source.send(b"x")
    assert poller.wait(None) == [source.fd]
    poller.unregister(source.fd)
    assert poller.wait(0) == []
