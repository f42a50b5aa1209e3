"""The moderation of interrupts: a device is polled while many packets arrive."""

from __future__ import annotations

from collections.abc import Callable

from testbed.driver.loop import Action
from testbed.host.devices.moderation import Input, Moderated
from testbed.host.devices.received import Received
from testbed.libc import BATCH

MS = 1_000_000
US = 1_000
PACKET = Received(memoryview(b""), verified=True, gso_size=0)


class World:
    """An input, its event loop and its clock, all by hand.

    :ivar waiting: the number of packets that have arrived and were not read.
    """

    def __init__(self, rtt_ns: int = 100 * MS) -> None:
        self.rtt_ns = rtt_ns
        self.asked = 0  # how often somebody asked for the round-trip time
        self.time = 1_000 * MS
        self.waiting = 0
        self.reads: list[tuple[int, int]] = []  # the time and the number of packets of each
        self.callback: Callable[[], object] | None = None
        self.alarm: tuple[int, Action] | None = None
        self.moderated = Moderated(self, self, self, self.read, self.min_rtt)
        self.moderated.start()

    def fileno(self) -> int:
        return -1

    def receive(self) -> list[Received]:
        found, self.waiting = min(BATCH, self.waiting), max(0, self.waiting - BATCH)
        return [PACKET] * found

    def close(self) -> None:
        self.alarm = None

    def add_reader(self, fd: Input, callback: Callable[[], object]) -> None:
        assert fd is self
        self.callback = callback

    def remove_reader(self, fd: Input) -> None:
        assert fd is self
        self.callback = None

    def now(self) -> int:
        return self.time

    def soon(self, action: Action) -> None:
        raise NotImplementedError

    def at(self, when: int, action: Action) -> None:
        self.alarm = when, action

    def min_rtt(self) -> int:
        self.asked += 1
        return self.rtt_ns

    def read(self, moderated: Moderated) -> None:
        self.reads.append((self.time, len(moderated.receive())))

    def turn(self) -> None:
        """Do what an event loop does at this time."""
        if self.alarm is not None and self.alarm[0] <= self.time:
            (_, action), self.alarm = self.alarm, None
            action(self.time)
        while self.waiting and self.callback is not None:
            self.callback()

    def arrive(self, after_ns: int) -> None:
        """Let a packet arrive after a while."""
        self.wait(after_ns)
        self.waiting += 1
        self.turn()

    def wait(self, ns: int) -> None:
        end = self.time + ns
        while self.alarm is not None and self.alarm[0] <= end:
            self.time = max(self.time, self.alarm[0])
            self.turn()
        self.time = end


def test_packets_far_apart_are_read_at_once() -> None:
    world = World()
    for _ in range(5):
        world.arrive(after_ns=2 * MS)
    start = 1_000 * MS
    assert world.reads == [(start + 2 * MS * nth, 1) for nth in range(1, 6)]
    assert world.alarm is None


def test_packets_soon_after_others_are_read_at_intervals() -> None:
    world = World()
    for _ in range(10):
        world.arrive(after_ns=250 * US)
    first = world.time - 10 * 250 * US + 250 * US
    assert world.reads == [(first, 1), (first + MS, 3), (first + 2 * MS, 4)]


def test_the_event_loop_watches_again_after_a_poll_that_found_nothing() -> None:
    world = World()
    world.arrive(after_ns=0)
    world.arrive(after_ns=100 * US)
    assert world.callback is None
    world.wait(2 * MS)
    assert [count for _, count in world.reads] == [1, 1, 0]
    assert world.callback is not None
    assert world.alarm is None
    world.arrive(after_ns=0)
    assert world.reads[-1] == (world.time, 1)


def test_the_interval_is_a_part_of_the_round_trip_time() -> None:
    world = World(rtt_ns=2 * MS)
    world.arrive(after_ns=0)
    world.arrive(after_ns=99 * US)
    world.arrive(after_ns=99 * US)
    first = world.time - 198 * US
    assert world.reads == [(first, 1), (first + 100 * US, 1)]


def test_without_a_sample_of_the_round_trip_time_nothing_waits() -> None:
    world = World(rtt_ns=0)
    for _ in range(4):
        world.arrive(after_ns=1 * US)
    assert [count for _, count in world.reads] == [1, 1, 1, 1]


def test_a_full_batch_is_followed_by_another_at_once() -> None:
    world = World()
    world.waiting = 2 * BATCH + 1
    world.turn()
    assert world.reads == [(world.time, BATCH), (world.time, BATCH), (world.time, 1)]


def test_the_round_trip_time_is_not_asked_for_at_each_read() -> None:
    world = World()
    for _ in range(100):
        world.arrive(after_ns=100 * US)
    assert len(world.reads) >= 10
    assert world.asked == 1


def test_a_shorter_round_trip_time_shortens_the_interval_within_milliseconds() -> None:
    world = World()
    for _ in range(10):
        world.arrive(after_ns=500 * US)
    world.rtt_ns = 200 * US
    for _ in range(40):
        world.arrive(after_ns=500 * US)
    assert [when for when, _ in world.reads[-4:]] == [
        world.time - 500 * US * nth for nth in (3, 2, 1, 0)
    ]


def test_stopped_it_neither_watches_nor_polls() -> None:
    world = World()
    world.arrive(after_ns=0)
    world.arrive(after_ns=10 * US)
    assert world.alarm is not None
    world.moderated.stop()
    assert world.callback is None
    assert world.alarm is None
