"""MIB counters of TCP by the kernel's names (net/ipv4/proc.c)."""

from __future__ import annotations

from testbed.packet.options import MaximumSegmentSize

from .script import FLOW, MSS, SECOND, Script, bare


def counted(script: Script, *names: str) -> tuple[int, ...]:
    """Return counters, without ``TcpExtTCP`` in front."""
    return tuple(script.endpoint.counters.get(f"TcpExtTCP{name}", 0) for name in names)


def test_octets_out_of_order() -> None:
    """Counted: segments behind a gap, those without new data, and DSACKs."""
    script = Script(bare(sack=True))
    script.options = (MaximumSegmentSize(MSS),)
    script.connect(script.sack())
    script.inject(".", 11, 1, b"x" * 10)
    script.inject(".", 31, 1, b"x" * 10)
    assert counted(script, "OFOQueue", "OFOMerge", "DSACKOfoSent") == (2, 0, 0)
    script.inject(".", 11, 1, b"x" * 10)
    assert counted(script, "OFOQueue", "OFOMerge") == (3, 1)
    script.inject(".", 11, 1, b"x" * 40)  # the segment covers the second one
    assert counted(script, "OFOQueue", "OFOMerge") == (4, 2)
    script.inject(".", 1, 1, b"x" * 10)
    script.inject(".", 1, 1, b"x" * 10)
    assert counted(script, "OFOQueue") == (4,)


def test_what_is_sent_again_and_why() -> None:
    """By three duplicate ACKs, then by timeouts. Segments sent by a timeout count as neither."""
    script = Script(bare())
    connection = script.connect()
    connection.send(b"x" * MSS * 5)
    script.out()
    for _ in range(3):
        script.inject(".", 1, 1)
    assert counted(script, "RenoRecovery", "FastRetrans", "Timeouts") == (1, 1, 0)
    script.wait(2 * SECOND)
    assert counted(script, "Timeouts")[0] >= 1
    assert counted(script, "FastRetrans", "SlowStartRetrans") == (1, 0)
    assert counted(script, "LostRetransmit")[0] >= 1
    script.inject(".", 1, 1 + MSS)
    assert counted(script, "SlowStartRetrans")[0] >= 1


def test_syn_that_is_repeated_and_given_up() -> None:
    script = Script(bare(syn_retries=2))
    script.endpoint.connect(FLOW, script.now)
    script.out()
    script.wait(100 * SECOND)
    assert counted(script, "SynRetrans", "AbortOnTimeout") == (2, 1)
    assert script.endpoint.counters["TcpAttemptFails"] == 1


def test_resets_of_both_sides() -> None:
    script = Script(bare())
    script.connect()
    script.inject("R", 1)
    counters = script.endpoint.counters
    assert (counters["TcpEstabResets"], counters.get("TcpOutRsts", 0)) == (1, 0)
    script.inject(".", 1, 1)
    assert script.endpoint.counters["TcpOutRsts"] == 1


def test_timers() -> None:
    script = Script(bare(keepalive=True, keepalive_idle_ns=SECOND, delayed_ack_ns=SECOND // 5))
    connection = script.connect()
    for number in range(40):  # no longer at once
        script.inject(".", 1 + number, 1, b"x")
    script.wait(SECOND // 2)
    assert script.endpoint.counters["TcpExtDelayedACKs"] >= 1
    script.wait(SECOND)
    assert counted(script, "KeepAlive") == (1,)
    connection.close()  # with octets unread
    script.out()
    assert counted(script, "AbortOnClose") == (1,)
    assert script.endpoint.counters["TcpOutRsts"] == 1
