"""RFC 3168, section 6.1: Explicit Congestion Notification."""

from __future__ import annotations

import pytest

from testbed.packet.options import MaximumSegmentSize, SackPermitted
from testbed.packet.segment import CE, CWR, ECT_0, NOT_ECT
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection

from .script import MS, SECOND, Script, bare

ECN = bare(ecn=True)


def ecn_connection(script: Script) -> TcpConnection:
    connection = script.open()
    assert script.out() == ["SEW 0:0"]
    script.inject("S.E", 0, 1)
    return connection


@pytest.mark.requirement("RFC 9293", "SHLD-8")
def test_it_is_asked_for_and_granted() -> None:
    """Section 6.1.1."""
    script = Script(ECN)
    ecn_connection(script)
    other = Script(ECN)
    other.listen()
    assert other.inject("SEW", 0) == ["S.E 0:0 1"]


def test_it_is_not_granted_unless_asked_for_properly() -> None:
    for flags in ("S", "SE", "SW"):
        script = Script(ECN)
        script.listen()
        assert script.inject(flags, 0) == ["S. 0:0 1"]
    script = Script(bare(ecn_granted=False))
    script.listen()
    assert script.inject("SEW", 0) == ["S. 0:0 1"]


def test_it_is_granted_without_being_asked_for() -> None:
    """By default, as in Linux (tcp_ecn=2)."""
    script = Script()
    script.open()
    assert script.out() == ["S 0:0"]
    assert script.inject("S.E", 0, 1) == [". 1:1 1"]
    assert not script.connection.ecn.used
    script = Script()
    script.listen()
    assert script.inject("SEW", 0) == ["S.E 0:0 1"]
    script.inject(".", 1, 1)
    assert script.connection.ecn.used


def test_a_repeated_syn_does_without() -> None:
    """Section 6.1.1.1: a middlebox may drop SYNs that ask."""
    script = Script(ECN)
    script.open()
    script.out()
    assert script.wait(SECOND) == ["S 0:0"]


def test_only_new_data_is_ecn_capable() -> None:
    """Sections 6.1.4 and 6.1.5: neither pure ACKs nor retransmissions."""
    script = Script(ECN)
    connection = ecn_connection(script)
    connection.send(b"x")
    script.out()
    assert script.last[0].ecn == ECT_0
    script.wait(SECOND)
    assert script.last[0].ecn == NOT_ECT
    script.inject("P.", 1, 2, b"y")
    assert script.last[0].ecn == NOT_ECT


@pytest.mark.requirement("RFC 9293", "SHLD-8")
def test_marks_are_echoed_until_cwr() -> None:
    """Section 6.1.3."""
    script = Script(ECN)
    ecn_connection(script)
    assert script.inject("P.", 1, 1, b"a", ecn=CE) == [".E 1:1 2"]
    assert script.inject("P.", 2, 1, b"b", ecn=ECT_0) == [".E 1:1 3"]
    assert script.inject("P.W", 3, 1, b"c", ecn=ECT_0) == [". 1:1 4"]


@pytest.mark.requirement("RFC 9293", "SHLD-8")
def test_an_echo_reduces_the_window_once_per_round_trip() -> None:
    """Section 6.1.2."""
    script = Script(ECN)
    connection = ecn_connection(script)
    connection.send(b"x" * 5360)
    script.out()
    script.now += 50 * MS
    script.inject(".E", 1, 537)
    threshold = connection.congestion.threshold
    assert threshold < 10 * 536
    connection.send(b"y" * 5360)
    seen = script.inject(".E", 1, 1073)
    seen += script.inject(".E", 1, 5361)
    assert connection.congestion.threshold == threshold
    assert sum("W" in text for text in seen) == 1


def test_without_ecn_marks_and_echoes_mean_nothing() -> None:
    script = Script()
    connection = script.connect()
    assert script.inject("P.", 1, 1, b"a", ecn=CE) == [". 1:1 2"]
    connection.send(b"x" * 5000)
    script.out()
    script.inject(".E", 2, 1461)
    assert connection.congestion.threshold > 1 << 30


def marked(script: Script) -> list[bool]:
    """Tell which of the segments of new data that left last carry CWR."""
    return [bool(segment.flags & CWR) for segment in script.last if segment.ecn == ECT_0]


def lossy(config: TcpConfig, segments: int) -> tuple[Script, TcpConnection]:
    """Connect with ECN and SACK, and send so many segments."""
    script = Script(config)
    connection = script.open()
    script.out()
    script.now += 50 * MS
    script.inject("S.E", 0, 1, options=(MaximumSegmentSize(1000), SackPermitted()))
    connection.send(b"x" * 1000 * segments)
    script.out()
    script.now += 50 * MS
    return script, connection


LOSSY = bare(ecn=True, sack=True)


def test_the_peer_is_told_of_a_reduction_after_a_loss() -> None:
    """Section 6.1.2: CWR on the first new data after any reduction; an echo reduces no more."""
    script, connection = lossy(LOSSY, 10)
    script.inject(".", 1, 1, options=script.sack((1001, 5001)))
    threshold = connection.congestion.threshold
    script.inject(".E", 1, 10001)
    connection.send(b"y" * 3000)
    script.out()
    assert marked(script) == [True, False, False]
    script.inject(".E", 1, 10001)
    assert connection.congestion.threshold == threshold


def test_the_peer_is_told_of_a_reduction_after_a_timeout() -> None:
    script, connection = lossy(LOSSY, 1)
    script.wait(SECOND)
    assert connection.info()["total_rto"] > 0
    script.inject(".", 1, 1001)
    connection.send(b"y" * 1000)
    script.out()
    assert marked(script) == [True]


def test_the_peer_is_told_of_a_loss_that_a_probe_repaired() -> None:
    """RFC 8985, section 7.4."""
    script, connection = lossy(LOSSY, 2)
    assert script.wait(110 * MS) == ["P. 1001:2001 1"]
    script.inject(".", 1, 2001)
    connection.send(b"y" * 2000)
    script.out()
    script.inject(".", 1, 4001)
    connection.send(b"z" * 1000)
    script.out()
    assert connection.info()["snd_ssthresh"] < 100
    assert sum(bool(s.flags & CWR) for s in script.last) + connection.ecn._reduced <= 1


def test_a_reduction_that_is_taken_back_is_not_told() -> None:
    """As in Linux (tcp_ecn_withdraw_cwr)."""
    script, connection = lossy(LOSSY, 10)
    script.inject(".", 1, 1, options=script.sack((1001, 5001)))
    script.inject(".", 1, 10001, options=script.sack((1, 1001)))
    connection.send(b"y" * 1000)
    script.out()
    assert connection.congestion.threshold > 1 << 30
    assert marked(script) == [False]
