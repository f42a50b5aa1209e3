"""What arrives: RFC 9293, section 3.10.7, one function for each of its steps."""

from __future__ import annotations

from typing import Final

from testbed.stack.connection import Connected, ConnectionFailure, ErrorKind
from testbed.stack.packet.options import (
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.stack.packet.segment import ACK, CE, CWR, ECE, FIN, RST, SYN, Segment
from testbed.stack.packet.sequence import BITS_32, expand
from testbed.stack.tcp.acknowledgment import echoed, fifth_ack
from testbed.stack.tcp.config import SECOND
from testbed.stack.tcp.extension import Notice
from testbed.stack.tcp.state import HANDSHAKE, State, Trigger
from testbed.stack.tcp.tcb import Tcb

_MAX_SHIFT: Final = 14  # RFC 7323, section 2.3
_TS_RECENT_VALID_NS: Final = 24 * 24 * 3600 * SECOND  # RFC 7323, section 5.5


def segment_arrives(tcb: Tcb, segment: Segment, now: int) -> None:
    """SEGMENT ARRIVES, for a connection that exists."""
    tcb.segments_received += 1
    if tcb.state is State.SYN_SENT:
        _syn_sent(tcb, segment, now)
    elif tcb.state is not State.CLOSED:
        _otherwise(tcb, segment, now)


def listen_accept(tcb: Tcb, syn: Segment, now: int) -> None:
    """3.10.7.2, third: a SYN for a listener has made this connection."""
    tcb.last_received_ns = now
    _negotiate(tcb, syn, now)
    tcb.transition(Trigger.SYN)
    _text_of_syn(tcb, syn, now)


# 3.10.7.3: SYN-SENT


def _syn_sent(tcb: Tcb, segment: Segment, now: int) -> None:
    sender = tcb.sender
    flags = segment.flags
    acks_syn = False
    if flags & ACK:  # first, check the ACK bit
        acks_syn = expand((segment.ack - sender.base) & BITS_32, 0) == 0 and sender.next == 0
        if not acks_syn:
            return  # the endpoint has answered with RST
    if flags & RST:  # second
        if acks_syn:
            if tcb.extension is not None:
                tcb.extension.received(segment, 0)
            tcb.end(ConnectionFailure(ErrorKind.REFUSED, "RST in answer to SYN"))
        return
    if not flags & SYN:  # fifth
        return
    if tcb.extension is not None and tcb.extension.received(segment, 0) is Notice.REFUSED:
        return
    _negotiate(tcb, segment, now)  # fourth, check the SYN bit
    if acks_syn:
        sender.window = sender.max_window = segment.window  # never scaled
        sender.window_seq, sender.window_ack = -1, 0
        sender.syn_acknowledged(now, echoed(tcb, segment, now))
        _established(tcb, Trigger.SYN_ACK, now)
        tcb.receiver.ack_now = True
    else:  # simultaneous open
        tcb.transition(Trigger.SYN)
        sender.board.mark_all_lost()
    _text_of_syn(tcb, segment, now)


def _negotiate(tcb: Tcb, syn: Segment, now: int) -> None:
    """Take the options of the peer's SYN: only what both sides offer is used."""
    receiver, config = tcb.receiver, tcb.config
    receiver.base = (syn.seq + 1) & BITS_32
    timestamps = find(syn.options, Timestamps)
    tcb.timestamps = config.timestamps and timestamps is not None
    if tcb.timestamps:
        tcb.ts_recent, tcb.ts_recent_ns = timestamps.value, now
    scale = find(syn.options, WindowScale)
    tcb.window_scaling = config.window_scaling and scale is not None
    if tcb.window_scaling:
        tcb.sender.shift = min(scale.shift, _MAX_SHIFT)
        receiver.shift = config.window_shift
    tcb.sack = config.sack and find(syn.options, SackPermitted) is not None
    mss = find(syn.options, MaximumSegmentSize)
    tcb.negotiated_mss(None if mss is None else mss.mss)
    ecn = syn.flags & (ECE | CWR)
    # RFC 3168, section 6.1.1: a SYN asks with both bits, a SYN,ACK agrees with ECE alone.
    tcb.ecn = config.ecn and ecn == (ECE if syn.flags & ACK else ECE | CWR)


def _established(tcb: Tcb, trigger: Trigger, now: int) -> None:
    tcb.transition(trigger)
    sender = tcb.sender
    sender.recovery.start(sender.mss, sack=tcb.sack)
    if sender.total_resent > 1:  # RFC 5681, section 3.1; as in Linux one lost SYN is forgiven
        sender.recovery.start_small()
    if tcb.config.keepalive:
        tcb.keepalive_at = now + tcb.config.keepalive_idle_ns
    tcb.owner.report(tcb, Connected())
    if sender.closing:  # shutdown() was called during the handshake
        tcb.transition(Trigger.CLOSE)


def _text_of_syn(tcb: Tcb, syn: Segment, now: int) -> None:
    """Take what comes with a SYN; it may be kept until the connection is established."""
    if tcb.receiver.edge == 0:  # passive: nothing has been advertised yet
        tcb.receiver.edge = min(0xFFFF, tcb.config.receive_buffer)
    if syn.payload:
        _seventh_text(tcb, syn, 0, now)
    _eighth_fin(tcb, syn, 0, now)


# 3.10.7.4: other states


def _otherwise(tcb: Tcb, segment: Segment, now: int) -> None:
    flags = segment.flags
    start = tcb.position_of(segment)
    timestamps = find(segment.options, Timestamps) if tcb.timestamps else None
    if not _paws(tcb, segment, timestamps, now):
        return
    if not _first_sequence_number(tcb, segment, start, now):
        return
    if flags & (RST | SYN) or not flags & ACK:
        _without_ack(tcb, segment, start, now)
        return
    ack = expand((segment.ack - tcb.sender.base) & BITS_32, tcb.sender.una)
    if not _fifth_ack_acceptable(tcb, ack, now):
        return
    if timestamps is not None and start <= tcb.receiver.acknowledged:
        tcb.ts_recent, tcb.ts_recent_ns = timestamps.value, now  # RFC 7323, section 4.3
    tcb.last_received_ns = now
    tcb.probes = 0
    notice = Notice.PLAIN if tcb.extension is None else tcb.extension.received(segment, start)
    if notice is Notice.REFUSED:
        return
    if tcb.state is State.SYN_RECEIVED:
        _fifth_ack_of_syn(tcb, segment, start, now)
    fifth_ack(tcb, segment, start, ack, notice, now)
    if segment.payload:
        _seventh_text(tcb, segment, start, now)
    if flags & FIN or tcb.receiver.finished is not None:
        _eighth_fin(tcb, segment, start, now)


def _without_ack(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Take a segment that is done with before its ACK field counts; drop one that has none."""
    if segment.flags & RST:
        _second_rst(tcb, segment, start, now)
    elif segment.flags & SYN:
        _fourth_syn(tcb, segment, now)


def _paws(tcb: Tcb, segment: Segment, timestamps: Timestamps | None, now: int) -> bool:
    """Check the timestamp (RFC 7323, section 5.3, R1); one that is missing is let through."""
    if timestamps is None or segment.flags & RST:
        return True
    age = (timestamps.value - tcb.ts_recent) & BITS_32
    if age < 1 << 31 or now - tcb.ts_recent_ns > _TS_RECENT_VALID_NS:
        return True
    _answer_unacceptable(tcb, segment, tcb.position_of(segment), now)
    return False


def _first_sequence_number(tcb: Tcb, segment: Segment, start: int, now: int) -> bool:
    """First, check the sequence number.

    As in Linux a segment is let through whose end is not before what was last acknowledged, so
    that an ACK that was overtaken still counts; what lies outside the window is cut off later.
    """
    receiver = tcb.receiver
    end = start + segment.length
    if receiver.acknowledged <= end and start <= max(receiver.edge, receiver.next):
        return True
    if not segment.flags & RST:
        _answer_unacceptable(tcb, segment, start, now)
    return False


def _answer_unacceptable(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """ACK what is not acceptable: at once with data, else as RFC 5961 limits it."""
    if segment.payload:
        _note_duplicate(tcb, start, min(start + len(segment.payload), tcb.receiver.buffer.next))
        tcb.receiver.ack_now = True
    else:
        _challenge(tcb, now)
    if tcb.state is State.TIME_WAIT and segment.flags & FIN:
        tcb.close_at = now + tcb.config.time_wait_ns


def _challenge(tcb: Tcb, now: int) -> None:
    """Send a challenge ACK (RFC 5961, section 3.2)."""
    if tcb.owner.challenges.allows(now):
        tcb.receiver.ack_now = True


def _second_rst(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Second, check the RST bit: only one that fits exactly is obeyed (RFC 5961, section 3.2)."""
    if start != tcb.receiver.next:
        _challenge(tcb, now)
        return
    if tcb.extension is not None:
        tcb.extension.received(segment, start)
    if tcb.state is State.TIME_WAIT:
        tcb.end(None)
    elif tcb.state is State.SYN_RECEIVED and not tcb.accepted:
        tcb.end(ConnectionFailure(ErrorKind.REFUSED, "RST in SYN-RECEIVED"))
    else:
        tcb.end(ConnectionFailure(ErrorKind.RESET, f"RST in {tcb.state.value}"))


def _fourth_syn(tcb: Tcb, segment: Segment, now: int) -> None:
    """Fourth, check the SYN bit: a challenge ACK, whatever its number (RFC 5961, section 4.2).

    In SYN-RECEIVED our SYN,ACK may have been lost: it is sent again.
    """
    if tcb.state is State.SYN_RECEIVED:
        _syn_again(tcb, segment, now)
    else:
        _challenge(tcb, now)


def _syn_again(tcb: Tcb, segment: Segment, now: int) -> None:
    """Take a SYN or SYN,ACK in SYN-RECEIVED."""
    sender = tcb.sender
    acks_syn = segment.flags & ACK and (segment.ack - sender.base) & BITS_32 == 0
    if acks_syn and not tcb.accepted:  # the end of a simultaneous open
        if tcb.extension is not None and tcb.extension.received(segment, 0) is Notice.REFUSED:
            return
        sender.window = sender.max_window = segment.window
        sender.syn_acknowledged(now, echoed(tcb, segment, now))
        _established(tcb, Trigger.ACK_OF_SYN, now)
        tcb.receiver.ack_now = True
    else:
        sender.board.mark_all_lost()


def _fifth_ack_acceptable(tcb: Tcb, ack: int, now: int) -> bool:
    """Fifth, check the ACK field: neither too old nor for what was never sent (RFC 5961, 5.2)."""
    sender = tcb.sender
    if tcb.state is State.SYN_RECEIVED:
        return sender.una < ack <= sender.next  # the endpoint answers others with RST
    if sender.una - sender.max_window <= ack <= sender.next:
        return True
    _challenge(tcb, now)
    return False


def _fifth_ack_of_syn(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Enter ESTABLISHED from SYN-RECEIVED."""
    sender = tcb.sender
    sender.window = sender.max_window = segment.window << sender.shift
    sender.window_seq, sender.window_ack = start, 0
    sender.syn_acknowledged(now, echoed(tcb, segment, now))
    _established(tcb, Trigger.ACK_OF_SYN, now)


def _seventh_text(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Seventh, process the segment text."""
    if not tcb.receiving and tcb.state not in HANDSHAKE:
        return
    receiver = tcb.receiver
    buffer = receiver.buffer
    payload = segment.payload
    size = segment.gso_size or len(payload)
    segments = -(-len(payload) // size)
    end = start + len(payload)
    if tcb.ecn:
        _congestion_experienced(tcb, segment)
    # Neither beyond what was ever offered nor behind the peer's FIN.
    limit = receiver.edge if receiver.finished is None else receiver.finished
    if end > limit:
        payload = payload[: max(0, limit - start)]
        end = start + len(payload)
        receiver.ack_now = True
    if tcb.reading_closed and end > buffer.next:
        tcb.abort_with(ConnectionFailure(ErrorKind.RESET, "data came after close"))
        return
    before = buffer.next
    in_order = start <= before and not buffer.has_gaps
    new = buffer.add(start, payload) if payload else []
    if new or start < before or buffer.around(start) is not None:
        known = _first_known(start, end, new)
        _note_duplicate(tcb, *known)
        in_order &= known[0] == known[1]
    receiver.data_arrived(size, segments, in_order=in_order, now=now)
    if buffer.next > before:
        tcb.report_readable()


def _first_known(start: int, end: int, new: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the first of the octets that were there before, empty if all were new."""
    for new_start, new_end in new:
        if start < new_start:
            return start, new_start
        start = new_end
    return start, max(start, end)


def _note_duplicate(tcb: Tcb, start: int, end: int) -> None:
    """Remember octets that came twice, for the next ACK (RFC 2883)."""
    if tcb.sack and start < end:
        tcb.receiver.duplicate = (start, end)


def _congestion_experienced(tcb: Tcb, segment: Segment) -> None:
    """Echo CE until CWR comes (RFC 3168, section 6.1.3)."""
    receiver = tcb.receiver
    if segment.flags & CWR:
        receiver.echo_congestion = False
    if segment.ecn == CE:
        receiver.echo_congestion = True
        receiver.ack_now = True


def _eighth_fin(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Eighth, check the FIN bit; also for one that came earlier, out of order."""
    receiver = tcb.receiver
    if segment.flags & FIN:
        receiver.ack_now = True
        end = start + len(segment.payload)
        if receiver.finished is None and receiver.buffer.next <= end <= receiver.edge:
            receiver.finished = end
    if tcb.state in HANDSHAKE or receiver.buffer.next != receiver.finished:
        return
    if tcb.state is State.ESTABLISHED or tcb.state is State.FIN_WAIT_1:
        tcb.transition(Trigger.FIN)
    elif tcb.state is State.FIN_WAIT_2:
        tcb.enter_time_wait(Trigger.FIN, now)
        return
    elif tcb.state is State.TIME_WAIT:
        if segment.flags & FIN:
            tcb.close_at = now + tcb.config.time_wait_ns
        return
    else:
        return
    tcb.report_readable()
