"""RFC 9293, section 3.9.1.1, and RFC 5482: the user timeout, as TCP_USER_TIMEOUT of tcp(7)."""

from __future__ import annotations

import pytest

from testbed.stack.connection import ErrorKind
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.state import State

from .network import Network, transfer
from .script import FLOW, SECOND, Script, bare


@pytest.mark.requirement("RFC 9293", "MUST-21")
def test_data_without_acknowledgment_ends_the_connection() -> None:
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.connect()
    script.wait(60 * SECOND)
    connection.send(b"data")
    script.out()
    script.wait(5 * SECOND - 1)
    assert connection.state is State.ESTABLISHED
    script.wait(1)
    end = script.ending()
    assert end is not None
    assert end.failure is not None
    assert end.failure.kind is ErrorKind.TIMED_OUT
    assert "user timeout" in end.failure.detail
    assert script.endpoint.next_timer() is None


def test_each_acknowledgment_of_something_new_is_progress() -> None:
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.connect()
    connection.send(b"x" * 20)
    script.out()
    for octet in range(2, 20):
        script.wait(4 * SECOND)
        script.inject(".", 1, octet)
    assert connection.state is State.ESTABLISHED
    script.wait(5 * SECOND)
    assert connection.state is State.CLOSED


def test_acknowledgment_of_nothing_new_is_no_progress() -> None:
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.connect()
    connection.send(b"data")
    script.out()
    for _ in range(5):
        script.wait(SECOND)
        script.inject(".", 1, 1)
    assert connection.state is State.CLOSED


def test_a_window_that_stays_closed_ends_the_connection_too() -> None:
    """tcp(7): buffered data may remain untransmitted for so long."""
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.connect()
    script.inject(".", 1, 1, win=0)
    connection.send(b"data")
    script.out()
    for _ in range(4):
        script.wait(SECOND)
        script.inject(".", 1, 1, win=0)
    assert connection.state is State.ESTABLISHED
    script.inject(".", 1, 1, win=1000)
    script.wait(4 * SECOND)  # the time behind the window does not count any more
    assert connection.state is State.ESTABLISHED
    script.wait(SECOND)
    assert connection.state is State.CLOSED


def test_handshake_is_data_too() -> None:
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.endpoint.connect(FLOW, script.now)
    assert script.out() == ["S 0:0"]
    script.wait(5 * SECOND)
    assert connection.state is State.CLOSED
    assert script.ending() is not None


def test_idle_connection_lives_on() -> None:
    script = Script(bare(user_timeout_ns=5 * SECOND))
    connection = script.connect()
    connection.send(b"data")
    script.out()
    script.inject(".", 1, 5)
    assert script.endpoint.next_timer() is None
    script.wait(3600 * SECOND)
    assert connection.state is State.ESTABLISHED


@pytest.mark.parametrize(("probes", "timeout"), [(2, 60), (50, 25)])
def test_it_takes_the_place_of_the_number_of_keep_alives(probes: int, timeout: int) -> None:
    """tcp(7): it overrides keep-alive in when a connection is closed."""
    script = Script(
        bare(
            keepalive=True,
            keepalive_idle_ns=10 * SECOND,
            keepalive_interval_ns=SECOND,
            keepalive_probes=probes,
            user_timeout_ns=timeout * SECOND,
        )
    )
    connection = script.connect()
    script.wait(timeout * SECOND - 1)
    assert connection.state is State.ESTABLISHED
    script.wait(1)
    assert connection.state is State.CLOSED


def test_no_timer_is_left_of_a_transfer() -> None:
    config = TcpConfig(user_timeout_ns=20 * SECOND)
    network = Network(config, loss=0.05, seed=4)
    there, back = transfer(network, bytes(100_000))
    network.run()
    for pump in (there, back):
        assert network.ended(pump.connection) is not None
        assert pump.connection.failure is None
    assert network.client.next_timer() is network.server.next_timer() is None
