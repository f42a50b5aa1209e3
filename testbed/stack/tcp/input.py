"""Received segments: RFC 9293, section 3.10.7, one function for each of its steps."""

from __future__ import annotations

from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, FIN, RST, SYN, URG, Segment
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.tcp.acknowledgment import fifth_ack
from testbed.stack.tcp.extension import Notice
from testbed.stack.tcp.fast_open import Early
from testbed.stack.tcp.state import HANDSHAKE, State, Trigger
from testbed.stack.tcp.tcb import Tcb


def segment_arrives(tcb: Tcb, segment: Segment, now: int) -> None:
    """SEGMENT ARRIVES for an existing connection."""
    tcb.timestamps.look(segment.options, now)
    if tcb.state is State.SYN_SENT:
        _syn_sent(tcb, segment, now)
    elif tcb.state is not State.CLOSED:
        _otherwise(tcb, segment, now)


def listen_accept(tcb: Tcb, syn: Segment, early: Early | None, now: int) -> None:
    """3.10.7.2, third: process the SYN that created this connection."""
    tcb.timestamps.look(syn.options, now)
    tcb.accept(syn, early, now)
    _text_of_syn(tcb, syn, now)


# 3.10.7.3: SYN-SENT


def _syn_sent(tcb: Tcb, segment: Segment, now: int) -> None:
    flags = segment.flags
    acked = None  # octets of data on SYN, if SYN is acknowledged
    if flags & ACK:  # first, check the ACK bit
        acked = expand((segment.ack - tcb.sender.base) & BITS_32, 0)
        if not 0 <= acked <= tcb.sender.next:
            return  # the endpoint answers with RST
    if flags & RST:  # second
        if acked is not None:
            if tcb.extension is not None:
                tcb.extension.received(segment, 0)
            tcb.end(ConnectionFailure(ErrorKind.REFUSED, "RST in answer to SYN"))
        return
    if not flags & SYN:  # fifth
        return
    if tcb.extension is not None and tcb.extension.received(segment, 0) is Notice.REFUSED:
        return
    tcb.negotiate(segment)  # fourth, check the SYN bit
    if acked is None:  # simultaneous open
        tcb.sender.syns_cross(keep=tcb.extension is None)
        tcb.transition(Trigger.SYN)
    else:
        _syn_acknowledged(tcb, segment, acked, now)
    _text_of_syn(tcb, segment, now)


def _syn_acknowledged(tcb: Tcb, syn_ack: Segment, acked: int, now: int) -> None:
    """Enter ESTABLISHED from SYN-SENT."""
    sender = tcb.sender
    sender.window.begin(syn_ack.window, -1)  # the window of a SYN/ACK is never scaled
    sender.syn_acknowledged(acked, now, tcb.timestamps.answered_ns)
    if tcb.early is not None:
        _early_answered(tcb, tcb.early, syn_ack, now)
    tcb.establish(Trigger.SYN_ACK, now)
    if acked:
        tcb.data_acknowledged()
    tcb.receiver.must_ack()


def _early_answered(tcb: Tcb, early: Early, syn_ack: Segment, now: int) -> None:
    """Process the answer of a SYN/ACK to data on SYN (RFC 7413, section 4.2.1)."""
    early.answered(whole=0 < tcb.sender.next == tcb.sender.una)
    tcb.owner.fast_open_told(tcb, syn_ack, now)
    tcb.sender.take_back_early(keep=tcb.extension is None)
    tcb.sender.rearm(now)


def _text_of_syn(tcb: Tcb, syn: Segment, now: int) -> None:
    """Process data and urgent pointer of a SYN. They may come before the connection is established.

    The steps from the sixth on are those of other segments.
    """
    if tcb.receiver.edge == 0:  # passive open: nothing has been advertised yet
        tcb.receiver.offer_unscaled(tcb.config.first_window)
    if syn.flags & URG:
        _sixth_urg(tcb, syn, -1)  # the pointer counts from SYN, which precedes position 0
    _text_and_fin(tcb, syn, 0, now)


# 3.10.7.4: other states


def _otherwise(tcb: Tcb, segment: Segment, now: int) -> None:
    flags = segment.flags
    start = tcb.position_of(segment)
    timestamps = tcb.timestamps.news
    if timestamps is not None and not _paws(tcb, segment, timestamps, now):
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
        tcb.timestamps.take(timestamps)  # RFC 7323, section 4.3
    tcb.keepalive.heard(now)
    if tcb.limited:
        tcb.user_timeout_heard(segment)
    notice = _looked_at(tcb, segment, start)
    if notice is Notice.REFUSED:
        return
    if tcb.state is State.SYN_RECEIVED:
        _fifth_ack_of_syn(tcb, segment, start, now)
    fifth_ack(tcb, segment, start, ack, notice, now)
    if flags & URG:
        _sixth_urg(tcb, segment, start)
    _text_and_fin(tcb, segment, start, now)


def _looked_at(tcb: Tcb, segment: Segment, start: int) -> Notice:
    """Pass a segment to the extension."""
    return Notice.PLAIN if tcb.extension is None else tcb.extension.received(segment, start)


def _without_ack(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Handle a segment that ends before the ACK check; drop a segment without ACK."""
    if segment.flags & RST:
        _second_rst(tcb, segment, start, now)
    elif segment.flags & SYN:
        _fourth_syn(tcb, segment, now)


def _paws(tcb: Tcb, segment: Segment, timestamps: Timestamps, now: int) -> bool:
    """Check the timestamp (RFC 7323, section 5.3, R1). A missing one is accepted.

    So is that of a SYN in SYN-RECEIVED, which another one has overtaken.
    """
    if segment.flags & RST or (segment.flags & SYN and tcb.state is State.SYN_RECEIVED):
        return True
    if not tcb.timestamps.outdated(timestamps, now - tcb.keepalive.heard_ns):
        return True
    tcb.owner.count("TcpExtPAWSEstab")
    _answer_unacceptable(tcb, segment, tcb.position_of(segment), now)
    return False


def _first_sequence_number(tcb: Tcb, segment: Segment, start: int, now: int) -> bool:
    """First, check the sequence number.

    As in Linux a segment is accepted if its end is not before the last acknowledged position, so
    that a reordered ACK still counts. Octets outside the window are trimmed later.
    """
    receiver = tcb.receiver
    end = start + segment.length
    if receiver.acknowledged <= end and (start <= receiver.edge or start == receiver.next):
        return True
    if not segment.flags & RST:
        _answer_unacceptable(tcb, segment, start, now)
    return False


def _answer_unacceptable(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Acknowledge an unacceptable segment: at once with data, else with the limit of RFC 5961."""
    if segment.payload:
        _note_duplicate(tcb, start, min(start + len(segment.payload), tcb.receiver.buffer.next))
        tcb.receiver.must_ack()
    elif start == tcb.receiver.next - 1:  # a keep-alive, or a probe of our window
        if tcb.may_answer(now):
            tcb.receiver.must_ack()
    else:
        _challenge(tcb, now)
    if tcb.state is State.TIME_WAIT and segment.flags & FIN:
        tcb.restart_time_wait(now)


def _challenge(tcb: Tcb, now: int) -> None:
    """Send a challenge ACK (RFC 5961, section 3.2)."""
    if tcb.may_challenge(now):
        tcb.owner.count("TcpExtTCPChallengeACK")
        tcb.receiver.must_ack()


def _second_rst(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Second, check the RST bit: only an exact number is accepted (RFC 5961, section 3.2)."""
    receiver = tcb.receiver
    if start != receiver.next:
        if receiver.next < start < receiver.edge:  # other starts lie outside of the window
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
    """Fourth, check the SYN bit: a challenge ACK for any sequence number (RFC 5961, section 4.2).

    In SYN-RECEIVED our SYN/ACK may have been lost, so it is retransmitted.
    """
    if tcb.state is State.SYN_RECEIVED:
        _syn_again(tcb, segment, now)
    else:
        _challenge(tcb, now)


def _syn_again(tcb: Tcb, segment: Segment, now: int) -> None:
    """Process a SYN or SYN/ACK in SYN-RECEIVED."""
    sender = tcb.sender
    acked = expand((segment.ack - sender.base) & BITS_32, 0) if segment.flags & ACK else -1
    if 0 <= acked <= sender.next and not tcb.accepted:  # the end of a simultaneous open
        if tcb.extension is not None and tcb.extension.received(segment, 0) is Notice.REFUSED:
            return
        sender.window.begin(segment.window, -1)
        sender.syn_acknowledged(acked, now, tcb.timestamps.answered_ns)
        tcb.establish(Trigger.ACK_OF_SYN, now)
        tcb.receiver.must_ack()
    else:
        sender.board.mark_all_lost()


def _fifth_ack_acceptable(tcb: Tcb, ack: int, now: int) -> bool:
    """Fifth, check the ACK field: neither too old nor for unsent data (RFC 5961, 5.2)."""
    sender = tcb.sender
    if tcb.state is State.SYN_RECEIVED:
        return sender.una < ack <= sender.next  # the endpoint answers other ACKs with RST
    if sender.una - sender.window.greatest <= ack <= sender.next:
        return True
    _challenge(tcb, now)
    return False


def _fifth_ack_of_syn(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Enter ESTABLISHED from SYN-RECEIVED."""
    sender = tcb.sender
    sender.window.begin(segment.window << sender.window.shift, start)
    sender.syn_acknowledged(0, now, tcb.timestamps.answered_ns)
    tcb.establish(Trigger.ACK_OF_SYN, now)


def _takes_text(tcb: Tcb) -> bool:
    """Return whether text and urgent pointer count in this state."""
    return tcb.receiving or tcb.state in HANDSHAKE


def _sixth_urg(tcb: Tcb, segment: Segment, start: int) -> None:
    """Sixth, check the URG bit: the pointer refers to the octet after urgent data (MUST-62)."""
    if _takes_text(tcb) and tcb.receiver.urgent_arrived(start + segment.urgent):
        tcb.report_urgent()


def _text_and_fin(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Process text and FIN of a segment. FIN is recorded first, as nothing after it is text."""
    if segment.flags & FIN:
        tcb.receiver.fin_arrived(start + len(segment.payload))
    if segment.payload:
        _seventh_text(tcb, segment, start, now)
    if tcb.receiver.finished is not None:
        _eighth_fin(tcb, segment, now)


def _seventh_text(tcb: Tcb, segment: Segment, start: int, now: int) -> None:
    """Seventh, process the segment text."""
    if not _takes_text(tcb):
        return
    receiver = tcb.receiver
    buffer = receiver.buffer
    payload = segment.payload
    size = segment.gso_size or len(payload)
    octets = len(payload)
    end = start + len(payload)
    if tcb.ecn.used and tcb.ecn.received(segment, receiver.next, receiver.acknowledged):
        if tcb.ecn.accurate:
            receiver.acknowledge_before()
        receiver.must_ack()
    # Accept no data beyond the offered window or after the peer's FIN.
    limit = receiver.edge if receiver.finished is None else receiver.finished
    if end > limit:
        payload = payload[: max(0, limit - start)]
        end = start + len(payload)
        receiver.must_ack()
    if tcb.reading_closed and end > buffer.next:
        tcb.owner.count("TcpExtTCPAbortOnData")
        tcb.abort_with(ConnectionFailure(ErrorKind.RESET, "data came after close"))
        return
    before = buffer.next
    in_order = start <= before and not buffer.out_of_order
    new = buffer.add(start, payload) if payload else []
    if start > before:
        _count_out_of_order(tcb, start, new)
    whole = len(new) == 1 and new[0] == (start, end)  # no octet of the segment came before
    if not whole and (new or start < before or buffer.around(start) is not None):
        known = _first_known(start, end, new)
        _note_duplicate(tcb, *known)
        in_order &= known[0] == known[1]
    receiver.data_arrived(size, octets, in_order=in_order, now=now)
    if receiver.grows:
        limit = tcb.config.receive_buffer
        receiver.size_window(tcb.timestamps, limit, tcb.owner.memory, now)
    if buffer.next > before:
        tcb.report_readable()


def _count_out_of_order(tcb: Tcb, start: int, new: list[tuple[int, int]]) -> None:
    """Count an out-of-order segment, and whether it was new, merged or dropped."""
    tcb.owner.count("TcpExtTCPOFOQueue")
    if not new:
        known = tcb.receiver.buffer.around(start) is not None
        tcb.owner.count("TcpExtTCPOFOMerge" if known else "TcpExtTCPOFODrop")
    elif len(new) > 1:  # the segment covers data that is present
        tcb.owner.count("TcpExtTCPOFOMerge")


def _first_known(start: int, end: int, new: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the first piece of octets that had arrived before; empty if all are new."""
    for new_start, new_end in new:
        if start < new_start:
            return start, new_start
        start = new_end
    return start, max(start, end)


def _note_duplicate(tcb: Tcb, start: int, end: int) -> None:
    """Record octets that arrived twice, for the next ACK (RFC 2883)."""
    if tcb.sack:
        tcb.receiver.note_duplicate(start, end)


def _eighth_fin(tcb: Tcb, segment: Segment, now: int) -> None:
    """Eighth, check the FIN bit, also of an earlier out-of-order FIN."""
    receiver = tcb.receiver
    if tcb.state in HANDSHAKE or receiver.buffer.next != receiver.finished:
        return
    if tcb.state is State.ESTABLISHED or tcb.state is State.FIN_WAIT_1:
        tcb.transition(Trigger.FIN)
    elif tcb.state is State.FIN_WAIT_2:
        tcb.enter_time_wait(Trigger.FIN, now)
        return
    elif tcb.state is State.TIME_WAIT:
        if segment.flags & FIN:
            tcb.restart_time_wait(now)
        return
    else:
        return
    tcb.report_readable()
