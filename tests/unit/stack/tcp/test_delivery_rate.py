"""The estimate of the delivery rate of a path."""

from __future__ import annotations

from testbed.stack.tcp.rate import DeliveryRate
from testbed.stack.tcp.sent import Sent

MS = 1_000_000
SIZE = 1000


class Path:
    """Sends segments and acknowledges each by itself."""

    def __init__(self) -> None:
        self.rate = DeliveryRate()
        self.flight: list[Sent] = []
        self.count = 0

    def send(self, segments: int, now: int) -> None:
        for _ in range(segments):
            progress = self.rate.at_departure(SIZE, len(self.flight) * SIZE, 0, now)
            record = Sent(self.count, self.count + SIZE, b"", None, 0, now, progress, SIZE)
            self.flight.append(record)
            self.count += SIZE

    def acknowledge(self, segments: int, now: int) -> None:
        records, self.flight = self.flight[:segments], self.flight[segments:]
        self.rate.acknowledged(records, now, 10 * MS)

    def trickle(self, segments: int, now: int) -> int:
        """Send one segment after the other, each when the last is acknowledged after 10 ms."""
        for _ in range(segments):
            self.send(1, now)
            now += 10 * MS
            self.acknowledge(1, now)
        return now


def test_nothing_is_known_in_the_beginning() -> None:
    path = Path()
    assert path.rate.per_second == 0
    path.send(1, MS)
    assert path.rate.per_second == 0


def test_a_burst_comes_out_at_the_rate_of_the_path() -> None:
    """1000 octets per ms; the first is under way for 10 ms."""
    path = Path()
    path.send(100, MS)
    for number in range(100):
        path.acknowledge(1, (11 + number) * MS)
    assert 900_000 < path.rate.per_second < 1_000_000


def test_acknowledgments_that_come_together_do_not_make_it_faster() -> None:
    """Data that took 100 ms to send was not delivered in the 10 ms of one round trip."""
    path = Path()
    for number in range(100):
        path.send(1, number * MS)
    path.acknowledge(1, 100 * MS)
    path.acknowledge(99, 110 * MS)
    assert path.rate.per_second <= 1_000_000


def test_what_is_acknowledged_sooner_than_possible_is_no_sample() -> None:
    path = Path()
    path.send(10, MS)
    path.acknowledge(10, 2 * MS)
    assert path.rate.per_second == 0


def test_little_to_send_is_not_taken_for_a_slow_path_at_once() -> None:
    path = Path()
    path.send(10, MS)
    path.acknowledge(10, 11 * MS)
    now = path.trickle(9, 1000 * MS)
    assert path.rate.per_second == 1_000_000
    path.trickle(11, now)
    assert path.rate.per_second == 100_000
