"""What is due: the timers of a connection, one function each."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.packet.segment import Segment
from testbed.stack.tcp import output
from testbed.stack.tcp.state import HANDSHAKE, State, Trigger
from testbed.stack.tcp.tcb import Tcb


def handle_timers(tcb: Tcb, now: int) -> list[Segment]:
    """Do what is due; return the probes that leave outside the usual order."""
    sender = tcb.sender
    out: list[Segment] = []
    if tcb.receiver.ack_at <= now:
        tcb.receiver.ack_now = True
        tcb.receiver.ack_at = NEVER
    if sender.recovery.look_at <= now:
        sender.recovery.look_at = NEVER
        sender.recovery.detect_losses(sender.una, sender.next, now)
    if sender.probe_at <= now:
        _tail_loss_probe(tcb, now, out)
    if sender.rto_at <= now:
        _retransmission_timeout(tcb, now)
    if sender.persist_at <= now:
        _persist_timeout(tcb, now, out)
    if tcb.keepalive_at <= now:
        _keepalive_timeout(tcb, now, out)
    if tcb.close_at <= now:
        tcb.close_at = NEVER
        tcb.end(None, Trigger.TIMEOUT if tcb.state is State.TIME_WAIT else Trigger.DELETE)
    tcb.segments_sent += len(out)
    return out


def _tail_loss_probe(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """PTO has expired (RFC 8985, section 7.3)."""
    sender = tcb.sender
    sender.probe_at = NEVER
    if sender.recovery.recovering:  # since it was armed: it has been answered in part
        return
    segment = output.tail_loss_probe(tcb, now)
    if segment is not None:
        out.append(segment)
        if sender.rto_at <= now and tcb.extension is not None:
            tcb.extension.timed_out()
        sender.rto_at = now + sender.rtt.backed_off(sender.backoffs)


def _retransmission_timeout(tcb: Tcb, now: int) -> None:
    """RTO has expired (RFC 6298, section 5.4 to 5.7)."""
    sender = tcb.sender
    sender.rto_at = NEVER
    if not sender.board.records:
        return
    if sender.backoffs >= retry_limit(tcb) and not _keeps_its_window_closed(tcb):
        tcb.give_up(f"no answer to {sender.backoffs} retransmissions")
        return
    sender.timeouts += 1
    sender.backoffs += 1
    if tcb.extension is not None:
        tcb.extension.timed_out()
    sender.probe_at, sender.probe_end = NEVER, None
    if tcb.state in HANDSHAKE:
        sender.board.mark_all_lost()
    else:
        sender.recovery.timed_out(sender.una, sender.next, now)
        sender.rto_at = now + sender.rtt.backed_off(sender.backoffs)


def _keeps_its_window_closed(tcb: Tcb) -> bool:
    """Tell whether the peer has closed its window on what was sent, but answers.

    As in Linux it is then treated as in the persist state: it may do so for ever.
    """
    sender = tcb.sender
    if tcb.state in HANDSHAKE or tcb.orphaned or sender.window:
        return False
    return tcb.last_received_ns >= sender.last_sent_ns


def retry_limit(tcb: Tcb) -> int:
    """Return after how many retransmissions of one segment the connection is given up."""
    config = tcb.config
    if tcb.state is State.SYN_SENT:
        return config.syn_retries
    if tcb.state is State.SYN_RECEIVED:
        return config.syn_ack_retries
    return config.orphan_retries if tcb.orphaned else config.retries


def _persist_timeout(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Probe a window that is closed, or too small (RFC 9293, section 3.8.6.1).

    A peer that answers may keep its window closed for ever (MUST-36); one that does not is given
    up, and so is one that keeps open a connection whose owner has closed it.
    """
    sender = tcb.sender
    sender.persist_at = NEVER
    if not sender.blocked:
        return
    unanswered = sender.backoffs if tcb.orphaned else tcb.probes
    if unanswered >= retry_limit(tcb):
        tcb.give_up(f"no answer to {unanswered} probes of a closed window")
        return
    out.append(output.window_probe(tcb, now))
    if not sender.board.records:
        tcb.probes += 1
        sender.backoffs += 1
        sender.persist_at = now + sender.rtt.backed_off(sender.backoffs)


def _keepalive_timeout(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Probe an idle connection (RFC 9293, section 3.8.4)."""
    config = tcb.config
    idle_until = tcb.last_received_ns + config.keepalive_idle_ns
    if tcb.sender.board.records or tcb.sender.blocked:
        tcb.keepalive_at = now + config.keepalive_idle_ns  # other timers find a dead peer
        return
    if not tcb.probes and now < idle_until:
        tcb.keepalive_at = idle_until
        return
    if tcb.probes >= config.keepalive_probes:
        tcb.give_up(f"no answer to {tcb.probes} keep-alive probes")
        return
    tcb.probes += 1
    tcb.keepalive_at = now + config.keepalive_interval_ns
    out.append(output.probe(tcb, now))
