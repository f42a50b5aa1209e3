"""TCP_NOTSENT_LOWAT of tcp(7): how much may be written beyond what has been sent."""

from __future__ import annotations

from testbed.stack.connection import Writable
from testbed.stack.tcp.config import TcpConfig

from .network import MS, Network
from .script import MSS, Script, bare


def test_writer_is_held_back_by_what_was_not_sent() -> None:
    script = Script(bare(notsent_lowat=3 * MSS))
    connection = script.connect()
    script.inject(".", 1, 1, win=10 * MSS)
    assert connection.send(bytes(100 * MSS)) == 3 * MSS
    script.out()  # all of it leaves
    assert connection.queued == 0
    while taken := connection.send(bytes(100 * MSS)):
        script.out()
        assert taken <= 3 * MSS
    assert connection.queued >= 3 * MSS  # the window is full
    assert connection.unsent - connection.queued == 10 * MSS
    assert connection.room == 0


def test_writer_is_woken_when_half_of_it_has_left() -> None:
    script = Script(bare(notsent_lowat=4 * MSS))
    connection = script.connect()
    script.inject(".", 1, 1, win=MSS)
    connection.send(bytes(MSS))
    script.out()
    connection.send(bytes(100 * MSS))
    script.out()
    woken = [isinstance(event, Writable) for event in script.events].count(True)
    assert (woken, connection.queued) == (0, 4 * MSS)
    for number in range(1, 5):
        script.inject(".", 1, 1 + number * MSS, win=MSS)
        woken = [isinstance(event, Writable) for event in script.events].count(True)
        assert woken == (connection.queued * 2 < 4 * MSS)


def test_small_limit_makes_no_small_segments() -> None:
    script = Script(bare(notsent_lowat=1))
    connection = script.connect()
    assert connection.send(bytes(10 * MSS)) == MSS
    assert script.out() == [f"P. 1:{1 + MSS} 1"]


def test_data_flows_all_the_same() -> None:
    network = Network(TcpConfig(notsent_lowat=16 * 1024), rate=10_000_000, delay=20 * MS)
    client, server = network.connect()
    left, got, most = bytes(1_000_000), 0, 0
    begin = network.now
    while got < 1_000_000:
        left = left[client.send(left) :]
        most = max(most, client.queued)
        network.step()
        got += len(server.read(1 << 20))
    assert most <= 16 * 1024 + client.mss
    assert network.now - begin < 1_200 * MS  # the data take 800 ms at the rate of the path
