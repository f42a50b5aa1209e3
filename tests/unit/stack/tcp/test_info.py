"""A connection's TCP_INFO: the kernel's fields, with the kernel's meanings."""

from __future__ import annotations

from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig

from .script import MS, SACK_PERMITTED, SECOND, Script, bare

SIZE = 1460


def test_slow_start_threshold_that_is_not_known() -> None:
    script = Script()
    connection = script.connect()
    assert connection.info()["snd_ssthresh"] == 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH
    connection.send(bytes(10 * SIZE))
    script.out()
    script.wait(2 * SECOND)
    assert connection.info()["snd_ssthresh"] < 10


def test_segments_in_flight_add_up() -> None:
    """As in Linux: unacked - sacked - lost + retrans; retransmitted data stays lost."""
    script = Script(TcpConfig(timestamps=False, window_scaling=False))
    connection = script.connect(SACK_PERMITTED)
    connection.send(bytes(10 * SIZE))
    script.out()
    script.now += 50 * MS
    script.inject(".", 1, 1, options=script.sack((1 + 3 * SIZE, 1 + 7 * SIZE)))
    script.wait(20 * MS)
    info = connection.info()
    assert (info["unacked"], info["sacked"], info["lost"]) == (10, 4, 3)
    assert 1 <= info["retrans"] <= 3
    flight = info["unacked"] - info["sacked"] - info["lost"] + info["retrans"]
    assert flight == connection.in_flight // SIZE
    assert info["delivered"] == 1 + 4  # SYN, and what was selectively acknowledged
    assert info["bytes_sent"] == 10 * SIZE + info["bytes_retrans"]
    script.inject(".", 1, 1 + 10 * SIZE, options=())
    info = connection.info()
    assert [info[name] for name in ("unacked", "sacked", "lost", "retrans")] == [0, 0, 0, 0]
    assert info["delivered"] == 1 + 10


def test_time_in_which_the_window_is_the_limit() -> None:
    script = Script()
    connection = script.connect(win=2 * SIZE)
    script.wait(SECOND)
    connection.send(bytes(4 * SIZE))
    assert len(script.out()) == 2
    script.now += 100 * MS
    script.inject(".", 1, 1 + 2 * SIZE, win=65535)
    script.now += 50 * MS
    script.inject(".", 1, 1 + 4 * SIZE)
    script.wait(SECOND)
    script.out()
    info = connection.info()
    assert info["busy_time"] == 150_000
    assert info["rwnd_limited"] == 100_000
    assert info["sndbuf_limited"] == 0


def test_time_in_which_the_buffer_is_the_limit() -> None:
    script = Script(bare(send_buffer=2 * SIZE))
    connection = script.connect()
    assert connection.send(bytes(4 * SIZE)) == 2 * SIZE
    script.out()
    script.now += 70 * MS
    script.inject(".", 1, 1 + 2 * SIZE)
    assert connection.info()["sndbuf_limited"] == 70_000
    connection.set_options(SocketOptions(send_buffer=9 * SIZE))
    connection.send(bytes(2 * SIZE))
    script.out()
    script.now += 30 * MS
    script.inject(".", 1, 1 + 4 * SIZE)
    info = connection.info()
    assert (info["busy_time"], info["sndbuf_limited"]) == (100_000, 70_000)


def test_round_trip_time_of_the_receiver() -> None:
    """Measured where the window grows: a window's worth takes as long to come."""
    script = Script(bare(receive_buffer=60_000, receive_buffer_initial=4 * SIZE))
    connection = script.connect()
    assert connection.info()["rcv_rtt"] == 0
    for octet in range(0, 20 * SIZE, SIZE):
        script.now += 10 * MS
        script.inject(".", 1 + octet, 1, bytes(SIZE))
        connection.read(SIZE)
        script.out()
    assert 10_000 <= connection.info()["rcv_rtt"] <= 100_000
