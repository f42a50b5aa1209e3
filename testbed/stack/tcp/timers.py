"""The timers of a connection, one function for each."""

from __future__ import annotations

from typing import Final

from testbed.packet.segment import Segment
from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.tcp import output
from testbed.stack.tcp.state import HANDSHAKE, State
from testbed.stack.tcp.tcb import Tcb

# R1 (RFC 9293, section 3.8.3): retransmissions before the application is informed.
_REPORTED: Final = 3


def handle_timers(tcb: Tcb, now: int) -> list[Segment]:
    """Handle the expired timers; return the probes, which leave outside the usual order."""
    sender = tcb.sender
    out: list[Segment] = []
    if tcb.user_timeout.at <= now:
        tcb.give_up("the user timeout has expired")
    if tcb.receiver.ack_at <= now:
        tcb.owner.count("TcpExtDelayedACKs")
        tcb.receiver.ack_timer_expired()
    if sender.recovery.look_at <= now:
        sender.recovery.look(sender.una, sender.next, now)
    if sender.recovery.pacer.at <= now:
        sender.recovery.pacer.expire(now)
    if sender.probe.at <= now:
        _tail_loss_probe(tcb, now, out)
    if sender.timer.at <= now:
        _retransmission_timeout(tcb, now)
    if sender.timer.persist_at <= now:
        _persist_timeout(tcb, now, out)
    _long_waits(tcb, now, out)
    return out


def _long_waits(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Handle the timers of minutes."""
    if tcb.keepalive.at <= now:
        _keepalive_timeout(tcb, now, out)
    if tcb.close_at <= now:
        tcb.waited()
    if tcb.black_hole is not None and tcb.black_hole.at <= now:
        tcb.retry_large()


def _tail_loss_probe(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Handle the expiry of the PTO (RFC 8985, section 7.3)."""
    sender = tcb.sender
    sender.probe.stop()
    if sender.recovery.recovering:  # an ACK covered a part since the timer was armed
        return
    if sender.probe.end is not None:
        _silent(tcb)
        return
    segment = output.tail_loss_probe(tcb, now)
    if segment is not None:
        out.append(segment)
        if sender.timer.at <= now:
            _silent(tcb)
        sender.timer.restart(now)


def _silent(tcb: Tcb) -> None:
    """Report a silent peer to the extension, which may have other paths.

    An unanswered probe is reported after another PTO. The retransmission timer, which was restarted
    with the probe, takes longer.
    """
    if tcb.extension is not None:
        tcb.extension.timed_out()


def _retransmission_timeout(tcb: Tcb, now: int) -> None:
    """Handle the expiry of the RTO (RFC 6298, sections 5.4 to 5.7)."""
    sender = tcb.sender
    sender.timer.stop()
    if not sender.board.records:
        return
    unanswered = sender.timer.unanswered
    if unanswered >= retry_limit(tcb) and not _keeps_its_window_closed(tcb):
        tcb.give_up(f"no answer to {unanswered} retransmissions")
        return
    if unanswered == _REPORTED:
        detail = f"no answer to {unanswered} retransmissions so far"
        tcb.report_error(ConnectionFailure(ErrorKind.TIMED_OUT, detail))
    _silent(tcb)
    if tcb.black_hole is not None:
        tcb.answer_black_hole(now)
    sender.timed_out(now, established=tcb.state not in HANDSHAKE)


def _keeps_its_window_closed(tcb: Tcb) -> bool:
    """Return whether the peer answers but has closed its window below the sent data.

    As in Linux the connection is then treated as in the persist state, without a limit of time.
    """
    sender = tcb.sender
    if tcb.state in HANDSHAKE or tcb.orphaned or sender.window.size:
        return False
    return tcb.keepalive.heard_ns >= sender.last_sent_ns


def retry_limit(tcb: Tcb) -> int:
    """Return after how many retransmissions of one segment the connection ends."""
    config = tcb.config
    if tcb.state is State.SYN_SENT:
        return config.syn_retries
    if tcb.state is State.SYN_RECEIVED:
        return config.syn_ack_retries
    return config.orphan_retries if tcb.orphaned else config.retries


def _persist_timeout(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Probe a window that is closed, or too small (RFC 9293, section 3.8.6.1).

    A peer that answers may keep its window closed for ever (MUST-36). The connection ends if the
    peer does not answer, or if the user has closed the connection.
    """
    sender = tcb.sender
    sender.timer.stop_persisting()
    if not sender.blocked:
        return
    unanswered = sender.timer.unanswered if tcb.orphaned else tcb.keepalive.probes
    if unanswered >= retry_limit(tcb):
        tcb.give_up(f"no answer to {unanswered} probes of a closed window")
        return
    tcb.owner.count("TcpExtTCPWinProbe")
    out.append(output.window_probe(tcb, now))
    if not sender.board.records:
        tcb.keepalive.probed()
        sender.timer.window_probed(now)


def _keepalive_timeout(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Probe an idle connection (RFC 9293, section 3.8.4)."""
    sender, keepalive = tcb.sender, tcb.keepalive
    if not keepalive.due(now, busy=bool(sender.board.records) or sender.blocked):
        return
    if keepalive.gives_up(now):
        tcb.give_up(f"no answer to {keepalive.probes} keep-alive probes")
        return
    keepalive.probed()
    tcb.owner.count("TcpExtTCPKeepAlive")
    out.append(output.probe(tcb, now))
