"""A congestion control with a rate: segments leave spread over time, by a timer of their own."""

from __future__ import annotations

import pytest

from testbed.stack.tcp import congestion
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion.control import Group, Sample
from testbed.stack.tcp.congestion.reno import Reno
from testbed.stack.tcp.pacer import Pacer, quantum

from .network import MS, SECOND, Network, transfer

RATE = 1_000_000  # octets per second


class Paced(Reno):
    """Reno at a constant rate, which records its input."""

    pacing_rate = RATE
    made: list[Paced] = []  # noqa: RUF012

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self.sent = 0
        self.samples: list[Sample] = []
        self.made.append(self)

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        self.sent += octets

    def on_ack(self, sample: Sample) -> None:
        self.samples.append(sample)
        super().on_ack(sample)


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the control under a name of its own."""
    monkeypatch.setitem(congestion.CONTROLS._entries, "paced", Paced)
    Paced.made = []


def test_segments_leave_at_the_rate() -> None:
    network = Network(TcpConfig(congestion="paced"))
    data = bytes(2_000_000)
    began = network.now
    transfer(network, data)
    assert network.now - began == pytest.approx(2 * SECOND, rel=0.05)
    departures = [at for at, segment in network.transcript if len(segment.payload) > 1000]
    for at in departures[:-20]:
        burst = [other for other in departures if at <= other < at + 10 * MS]
        assert len(burst) * 1448 <= RATE // 100 + 3 * 1448


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_window_is_spread_over_the_round_trip(name: str) -> None:
    """The first one over half of it, as it doubles; never more than two segments at once."""
    config = TcpConfig(congestion=name, pacing=True, receive_buffer_initial=0)
    network = Network(config, delay=50 * MS)
    client, _ = network.connect()
    network.transcript.clear()
    client.send(bytes(2_000_000))
    network.run_for(99 * MS)
    departures = [at for at, segment in network.transcript if segment.payload]
    assert len(departures) == 10
    assert departures[-1] - departures[0] == pytest.approx(45 * MS, abs=5 * MS)
    network.run_for(300 * MS)
    departures = [at for at, segment in network.transcript if segment.payload]
    assert len(departures) > 100
    assert max(map(departures.count, departures)) <= 2


def test_unless_asked_for_a_window_leaves_at_once() -> None:
    network = Network(TcpConfig(), delay=50 * MS)
    client, _ = network.connect()
    network.transcript.clear()
    client.send(bytes(1_000_000))
    network.run_for(50 * MS)
    assert len({at for at, segment in network.transcript if segment.payload}) == 1


def test_a_timer_that_is_late_does_not_lower_the_rate() -> None:
    """Up to 10 ms: then more leaves at once.  A driver's clock goes on before it sends."""
    pacer = Pacer()
    now = sent = 0
    while now < SECOND:
        while not pacer.holds(now):
            pacer.sent(1000, RATE, now)
            sent += 1000
        now = pacer.at + 8 * MS
        pacer.expire(now)
        now += MS // 10
    assert sent == pytest.approx(RATE, rel=0.02)


def test_silence_is_no_reason_for_a_burst() -> None:
    pacer = Pacer()
    bursts = []
    for now in (SECOND, 10 * SECOND):
        burst = 0
        while not pacer.holds(now):
            pacer.sent(1000, RATE, now)
            burst += 1
        bursts.append(burst)
        pacer.expire(pacer.at)
    assert bursts == [1, 1]


def test_a_segment_for_the_interface_to_cut_is_a_millisecond_long() -> None:
    """Two segments at least, and no more than IPv4 takes (draft-ietf-ccwg-bbr-06, 5.6.3)."""
    assert quantum(RATE, 1448) == 2 * 1448
    assert quantum(10 * RATE, 1448) == 10_000
    assert quantum(1000 * RATE, 1448) == 1 << 16
    network = Network(TcpConfig(congestion="paced", gso=True))
    client, _ = network.connect()
    client.send(bytes(100_000))
    sizes = [len(segment.payload) for segment in network.client.segments_to_send(network.now)]
    assert sizes == [2 * 1448]


def test_a_paced_connection_sends_on_without_acks() -> None:
    """The pacer's deadline is one of the connection's timers."""
    network = Network(TcpConfig(congestion="paced"), delay=100 * MS)
    client, _ = network.connect()
    network.transcript.clear()
    client.send(bytes(10 * 1448))
    network.run_for(90 * MS)
    departures = [at for at, segment in network.transcript if segment.payload]
    assert len(departures) == 10
    assert departures[-1] - departures[0] > 10 * MS
    assert client.next_timer() > network.now


def test_what_a_control_is_told() -> None:
    network = Network(TcpConfig(congestion="paced"), loss=0.02, seed=5)
    transfer(network, bytes(1_000_000))
    control = Paced.made[0]
    assert control.sent > 1_000_000
    assert sum(sample.delivered for sample in control.samples) == pytest.approx(1_000_000, abs=2)
    lost = sum(sample.lost for sample in control.samples)
    assert control.sent - 1_000_000 == pytest.approx(lost, rel=0.3)
    rounds = [sample.round for sample in control.samples]
    assert rounds == sorted(rounds)
    assert 10 < rounds[-1] < 150
    rates = [sample.rate for sample in control.samples if not sample.app_limited]
    assert 0.7 * RATE < max(rates) < 1.3 * RATE


def test_controls_of_a_connection_are_a_group() -> None:
    group = Group()
    first, second = Reno(group), Reno(group)
    group.join(first)
    group.join(second)
    assert list(group) == [first, second]
    group.leave(first)
    group.leave(first)
    assert list(group) == [second]
