"""Both directions of a wire on one medium, in virtual time."""

from __future__ import annotations

import pytest

from testbed.wire.medium import Medium
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem

from .test_model import MS, Names


class Air:
    """Two models, looked at whenever one of them has something to do."""

    def __init__(self, *options: str) -> None:
        self.models = [
            LinkModel(Netem.parse(text), mtu=1500, seed=1, frames=Names(), side=side)
            for text, side in zip(options, Medium().sides(), strict=True)
        ]
        self.left: list[tuple[int, str]] = []

    def send(self, direction: int, count: int, now_ns: int = 0) -> None:
        for number in range(count):
            self.models[direction].enqueue(f"{'ab'[direction]}{number}", 1514, now_ns)

    def run(self) -> list[tuple[float, str]]:
        """Let all frames leave; return when each did, in milliseconds, and its name."""
        while True:
            times = [model.next_departure_ns() for model in self.models]
            due = [at for at in times if at is not None]
            if not due:
                break
            now_ns = min(due)
            for model in self.models:
                self.left += [(now_ns, name) for name in model.dequeue(now_ns)]
        return [(round(at / MS, 3), name) for at, name in self.left]


RATE = "rate 12112kbit"  # 1514 octets take a millisecond


def test_a_frame_waits_for_one_of_the_other_direction() -> None:
    air = Air(RATE, RATE)
    air.send(0, 2)
    air.send(1, 2)
    assert air.run() == [(1, "a0"), (2, "a1"), (3, "b0"), (4, "b1")]


def test_each_direction_has_its_own_rate() -> None:
    air = Air(RATE, "rate 6056kbit")
    air.send(1, 1)
    air.send(0, 1)
    assert air.run() == [(2, "b0"), (3, "a0")]


@pytest.mark.parametrize("queue", ["fifo", "fq_codel"])
def test_directions_with_queues_take_turns(queue: str) -> None:
    """A frame leaves first, and takes the medium up after that: as with tc-htb(8)."""
    air = Air(f"{RATE} queue {queue}", f"{RATE} queue {queue}")
    air.send(0, 3)
    air.send(1, 2)
    assert [name for _, name in air.run()] == ["a0", "b0", "a1", "b1", "a2"]
    assert [round(at / MS) for at, _ in air.left] == [0, 1, 2, 3, 4]


def test_one_direction_has_all_of_it_while_the_other_is_silent() -> None:
    air = Air(f"{RATE} queue fifo", f"{RATE} queue fifo")
    air.send(0, 3)
    assert [round(at) for at, _ in air.run()] == [0, 1, 2]
    air.send(1, 1, 10 * MS)
    air.send(0, 1, 10 * MS)
    assert [name for _, name in air.run()[3:]] == ["b0", "a0"]


def test_a_shared_rate_can_be_changed_and_held() -> None:
    air = Air(f"{RATE} queue fifo", f"{RATE} queue fifo")
    air.send(0, 2)
    air.models[0].dequeue(0)
    air.models[0].change(Netem.parse("rate 24224kbit queue fifo"), 0)
    air.send(1, 1)
    assert [name for _, name in air.run()] == ["b0", "a1"]
