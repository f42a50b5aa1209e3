"""The receive window grows with what the application reads."""

from __future__ import annotations

import pytest

from testbed.packet.options import Timestamps
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.right_sizing import ReceiveRtt, RightSizing, WindowMemory
from testbed.stack.tcp.timestamps import Timestamping

from .network import Network
from .script import Script, bare

MS = 1_000_000
SECOND = 1_000_000_000
RTT = 100 * MS
SEGMENT = 1000
AMPLE = WindowMemory(1 << 40)


def grown(sizing: RightSizing, reads: list[int], rtt: int | None = RTT) -> list[int]:
    """Return the capacity after each round trip in which so many octets are read."""
    position, now, seen = 0, SECOND, []
    sizing.adjust(position, rtt, SEGMENT, now)
    for octets in reads:
        position += octets
        now += RTT
        sizing.adjust(position, rtt, SEGMENT, now)
        seen.append(sizing.capacity)
    return seen


def test_it_is_twice_what_is_read_and_more_while_that_grows() -> None:
    """As in Linux: data that doubles in a round trip adds three times as much again."""
    sizing = RightSizing(30_000, 1 << 30, AMPLE)
    wanted = 2 * 20_000 + 16 * SEGMENT
    first, second, third = grown(sizing, [20_000, 20_000, 40_000])
    assert first == wanted + 2 * wanted
    assert second == first
    assert third == 3 * (2 * 40_000 + 16 * SEGMENT)


def test_a_first_window_below_ten_segments_grows() -> None:
    """Data that exceeds the first window in a round trip makes it grow."""
    first, second = grown(RightSizing(3_000, 1 << 30, AMPLE), [3_000, 3_500])
    assert first == 3_000
    assert second > 2 * 3_500


@pytest.mark.parametrize(("initial", "first"), [(1, 1 << 14), (1 << 20, 1 << 20), (0, 1 << 30)])
def test_the_first_window_is_one_that_its_field_can_express(initial: int, first: int) -> None:
    config = TcpConfig(receive_buffer=1 << 30, receive_buffer_initial=initial)
    assert config.first_window == first
    assert config.window_shift == 14


def test_it_is_bounded_and_does_not_shrink() -> None:
    sizing = RightSizing(30_000, 100_000, AMPLE)
    assert grown(sizing, [20_000, 80_000, 500, 500]) == [100_000] * 4


def test_windows_grow_by_the_memory_of_the_endpoint_together() -> None:
    memory = WindowMemory(150_000)
    sizings = [RightSizing(30_000, 1 << 30, memory) for _ in range(2)]
    assert [grown(one, [20_000])[-1] for one in sizings] == [168_000, 42_000]
    assert memory.left == 0
    assert grown(sizings[0], [90_000])[-1] == 168_000
    for one in sizings:
        one.release()
        one.release()
    assert memory.left == 150_000


def test_a_connection_gives_its_memory_back_when_it_ends() -> None:
    network = Network(TcpConfig(receive_buffer_initial=50_000), rate=20_000_000, delay=20 * MS)
    client, server = network.connect()
    whole = server.owner.memory.left
    client.send(bytes(2_000_000))
    for _ in range(50):
        network.run_for(10 * MS)
        server.read(1 << 20)
    assert server.owner.memory.left < whole
    server.abort()
    assert server.owner.memory.left == whole


@pytest.mark.parametrize(
    ("reads", "rtt"), [([0, 0, 0], RTT), ([5_000, 10_000], RTT), ([20_000], None)]
)
def test_no_reason_to_grow(reads: list[int], rtt: int | None) -> None:
    """Nothing is read, or what the first window lets through, or no round trip is known."""
    assert grown(RightSizing(30_000, 1 << 30, AMPLE), reads, rtt) == [30_000] * len(reads)


def echoed(rtt: ReceiveRtt, sent: int, now: int) -> None:
    """Let a segment come that answers one of that time."""
    stamps = Timestamping(0, offered=True)
    stamps.look([Timestamps(1, stamps.value(sent))], now)
    rtt.echoed(stamps, now)


def test_a_timestamp_tells_the_round_trip() -> None:
    rtt = ReceiveRtt()
    echoed(rtt, SECOND, SECOND + 80 * MS)
    assert rtt.value == 80 * MS
    echoed(rtt, 2 * SECOND, 2 * SECOND + 160 * MS)
    assert rtt.value == 90 * MS


def test_a_timestamp_tells_it_once() -> None:
    """A peer that has been silent echoes the one of before: that tells its silence."""
    rtt = ReceiveRtt()
    echoed(rtt, SECOND, SECOND + 80 * MS)
    echoed(rtt, SECOND, 3 * SECOND)
    assert rtt.value == 80 * MS


def test_without_one_a_window_takes_a_round_trip() -> None:
    rtt = ReceiveRtt()
    rtt.arrived(0, 1000, SECOND)
    rtt.arrived(500, 1500, SECOND + 10 * MS)
    assert rtt.value is None
    rtt.arrived(1000, 2000, SECOND + 50 * MS)
    assert rtt.value == 50 * MS
    rtt.arrived(2000, 3000, SECOND + 150 * MS)
    assert rtt.value == 50 * MS


@pytest.mark.parametrize("stamped", [True, False])
def test_the_window_that_is_advertised_grows_only_for_who_reads(stamped: bool) -> None:
    config = TcpConfig(receive_buffer=1 << 20, receive_buffer_initial=50_000, timestamps=stamped)
    windows = {}
    for reads in (True, False):
        network = Network(config, rate=20_000_000, delay=20 * MS)
        client, server = network.connect()
        client.send(bytes(2_000_000))
        for _ in range(100):
            network.run_for(10 * MS)
            if reads:
                server.read(1 << 20)
        windows[reads] = client.send_window + server.readable
    assert windows[True] > 200_000
    assert windows[False] < 52_000  # windows on the wire are rounded up


def test_a_connection_that_has_little_to_receive_keeps_nothing_for_growth() -> None:
    network = Network(TcpConfig(), delay=20 * MS)
    client, server = network.connect()
    client.send(bytes(1000))
    network.run_for(100 * MS)
    assert server.readable == 1000
    assert server.receive_rtt_ns is None
    client.send(bytes(100_000))
    network.run_for(200 * MS)
    assert server.receive_rtt_ns is not None


def test_the_numbers_of_linux_are_the_default() -> None:
    """tcp_rmem of tcp(7), of TCP and of what subflows share."""
    for config in (TcpConfig(), MptcpConfig()):
        assert (config.first_window, config.receive_buffer) == (128 << 10, 6 << 20)


def test_the_first_window_is_the_smaller_one() -> None:
    script = Script(bare(receive_buffer=1 << 20, receive_buffer_initial=30_000))
    script.connect()
    assert script.last[0].window == 30_000


def test_the_shift_is_that_of_the_largest_window() -> None:
    assert TcpConfig(receive_buffer=6 << 20, receive_buffer_initial=1).window_shift == 7
    assert TcpConfig(receive_buffer=1000, receive_buffer_initial=2000).first_window == 1000
