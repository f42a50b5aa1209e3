"""RFC 9293, section 3.9.1.1, and RFC 5482: the user timeout, as TCP_USER_TIMEOUT of tcp(7)."""

from __future__ import annotations

import pytest

from testbed.packet.option_list import parse_options
from testbed.packet.options import MaximumSegmentSize, UserTimeout, find
from testbed.stack.connection import ErrorKind
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import State

from .network import Network, transfer
from .script import FLOW, MSS, SECOND, Script, bare


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


# The option of RFC 5482.

DAY = 24 * 3600
TELLING = {"advertised_timeout_ns": 200 * SECOND}


def opened(script: Script, *options: UserTimeout) -> TcpConnection:
    """Connect to a peer whose SYN,ACK has these options."""
    connection = script.endpoint.connect(FLOW, script.now)
    script.out()
    assert len(told(script)) == bool(connection.config.advertised_timeout_ns)
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(MSS), *options))
    return connection


def told(script: Script) -> list[UserTimeout]:
    """Return the options that have left last."""
    found = [find(one.options, UserTimeout) for one in script.last]
    return [one for one in found if one is not None]


@pytest.mark.parametrize(
    ("ns", "option", "octets"),
    [
        (200 * SECOND, UserTimeout(200), "1c0400c8"),
        (10 * 3600 * SECOND, UserTimeout(600, minutes=True), "1c048258"),
    ],
)
def test_option_goes_on_syn_and_on_the_first_segment_after_it(
    ns: int, option: UserTimeout, octets: str
) -> None:
    """In seconds as long as 15 bits suffice; nothing confirms it, so it leaves once."""
    assert option.encode().hex() == octets
    assert parse_options(option.encode()) == (option,)
    script = Script(bare(advertised_timeout_ns=ns))
    connection = opened(script)
    assert told(script) == [option]
    connection.send(b"data")
    script.out()
    assert told(script) == []
    connection.set_options(SocketOptions(advertised_timeout_ns=300 * SECOND, nodelay=True))
    connection.send(b"data")
    script.out()
    assert told(script) == [UserTimeout(300)]


@pytest.mark.parametrize(
    ("remote", "adopted"),
    [(50, 200), (400, 400), (3 * DAY // 60, DAY), (0, 0)],
)
def test_greater_of_both_counts_within_limits(remote: int, adopted: int) -> None:
    """Section 3.1; a value of 0 says nothing."""
    script = Script(bare(**TELLING))
    connection = opened(script, UserTimeout(remote, minutes=remote > 3600))
    assert connection.user_timeout_ns == adopted * SECOND
    connection.send(b"data")
    script.out()
    script.wait(200 * SECOND - 1)
    assert connection.state is State.ESTABLISHED
    script.wait(1)
    assert (connection.state is State.CLOSED) is (adopted == 200)


def test_peer_may_change_it_later() -> None:
    script = Script(bare(**TELLING))
    connection = opened(script)
    assert connection.user_timeout_ns == 0
    script.inject(".", 1, 1, options=(UserTimeout(500),))
    assert connection.user_timeout_ns == 500 * SECOND


def test_what_the_program_has_chosen_stays() -> None:
    """CHANGEABLE is false then (section 3)."""
    script = Script(bare(user_timeout_ns=5 * SECOND, **TELLING))
    connection = opened(script, UserTimeout(1000))
    assert connection.user_timeout_ns == 5 * SECOND
    assert connection.user_timeout.remote_ns == 1000 * SECOND


def test_option_is_ignored_where_it_is_off() -> None:
    """Off is the default; and no timeout is shorter than the longest RTO."""
    script = Script()
    assert opened(script, UserTimeout(300)).user_timeout_ns == 0
    script = Script(bare(advertised_timeout_ns=SECOND))
    assert opened(script, UserTimeout(1)).user_timeout_ns == 121 * SECOND


def test_other_options_change_neither_what_was_adopted_nor_what_has_waited() -> None:
    script = Script(bare(advertised_timeout_ns=60 * SECOND, rto_max_ns=120 * SECOND))
    connection = opened(script, UserTimeout(90))
    assert connection.user_timeout_ns == 121 * SECOND
    connection.send(b"data")
    script.out()
    for _ in range(3):
        script.wait(40 * SECOND)
        connection.set_options(SocketOptions(nodelay=True))
    assert connection.user_timeout_ns == 121 * SECOND
    assert connection.state is State.ESTABLISHED
    script.wait(SECOND)
    assert script.ending() is not None
