"""What leaves: segments are made here and nowhere else, each final."""

from __future__ import annotations

from typing import Any, Final

from testbed.stack.deadlines import NEVER
from testbed.stack.packet.options import (
    MAX_LENGTH,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
    options_size,
)
from testbed.stack.packet.segment import ACK, CWR, ECE, ECT_0, FIN, NOT_ECT, PSH, RST, SYN, Segment
from testbed.stack.packet.sequence import BITS_32
from testbed.stack.tcp.scoreboard import Fate, Sent
from testbed.stack.tcp.state import HANDSHAKE, State
from testbed.stack.tcp.tcb import Tcb

_MAX_PAYLOAD: Final = 0xFFFF - 120  # of a large segment: what IPv4 takes, with all headers


def segments_to_send(tcb: Tcb, now: int) -> list[Segment]:
    """Return what can leave now."""
    out: list[Segment] = []
    if tcb.reset:
        tcb.reset = False
        out.append(_control(tcb, RST | ACK, now))
    elif tcb.state in HANDSHAKE:
        _handshake(tcb, now, out)
    elif tcb.state is not State.CLOSED:
        if tcb.pure_ack:
            tcb.pure_ack = False
            out.append(pure_ack(tcb, now))
        if tcb.state is not State.TIME_WAIT:
            if tcb.sender.board.lost:
                _retransmissions(tcb, now, out)
            if not tcb.sender.board.lost:
                _new_data(tcb, now, out)
        if tcb.receiver.ack_now:
            out.append(pure_ack(tcb, now))
        if tcb.orphaned and tcb.state is State.FIN_WAIT_2 and tcb.close_at == NEVER:
            tcb.close_at = now + tcb.config.fin_timeout_ns
    tcb.segments_sent += len(out)
    return out


def pure_ack(tcb: Tcb, now: int) -> Segment:
    """Return an ACK without data."""
    return _control(tcb, ACK, now)


def probe(tcb: Tcb, now: int) -> Segment:
    """Return a segment that a living peer must answer.

    As in Linux, it has no octets and the sequence number before SND.UNA: not acceptable, so an
    ACK comes back (RFC 9293, section 3.10.7.4, first).  It serves as keep-alive (section 3.8.4)
    and to probe a closed window (section 3.8.6.1).
    """
    options, _ = _options(tcb, ACK, None, now)
    return _segment(tcb, ACK, tcb.sender.una - 1, b"", options, 0)


def window_probe(tcb: Tcb, now: int) -> Segment:
    """Return what probes the peer's window: what fits into it, else :func:`probe`."""
    sender = tcb.sender
    if sender.queue.octets and sender.window_left:
        segment = _data(tcb, sender.window_left, now)
        sender.start_timer(now)
        return segment
    return probe(tcb, now)


def _control(tcb: Tcb, flags: int, now: int) -> Segment:
    options, _ = _options(tcb, flags, None, now)
    return _segment(tcb, flags, tcb.sender.next, b"", options, 0)


def _segment(
    tcb: Tcb,
    flags: int,
    start: int,
    payload: bytes,
    options: tuple[Option, ...],
    gso_size: int,
    ecn: int = NOT_ECT,
) -> Segment:
    receiver = tcb.receiver
    if flags & RST:
        window = 0
    else:
        offered = tcb.extension.window() if tcb.extension is not None else None
        if offered is None:
            offered = receiver.window_to_advertise()
        window = receiver.window_field(offered)
        receiver.ack_sent()
        if receiver.echo_congestion:
            flags |= ECE
    return Segment(
        source=tcb.flow.local,
        destination=tcb.flow.remote,
        seq=(tcb.sender.base + start) & BITS_32,
        ack=receiver.ack_number,
        flags=flags,
        window=window,
        options=options,
        payload=payload,
        gso_size=gso_size,
        ecn=ecn,
    )


def _options(tcb: Tcb, flags: int, ext: Any, now: int) -> tuple[tuple[Option, ...], int]:
    """Return the options of a segment that is not SYN, and the octets they take.

    The extension's come before SACK, which is content with what is left.
    """
    options: tuple[Option, ...] = ()
    taken = 0
    if tcb.timestamps:
        options = (Timestamps(tcb.timestamp(now), tcb.ts_recent),)
        taken = 12
    if tcb.extension is not None:
        more = tuple(tcb.extension.options(flags, ext, MAX_LENGTH - taken))
        if more:
            options += more
            taken += options_size(more)
    receiver = tcb.receiver
    if tcb.sack and (receiver.duplicate is not None or receiver.buffer.has_gaps):
        blocks = _sack_blocks(tcb, (MAX_LENGTH - taken - 4) // 8)
        if blocks:
            options += (Sack(blocks),)
            taken += 4 + 8 * len(blocks)
    return options, taken


def _sack_blocks(tcb: Tcb, limit: int) -> tuple[tuple[int, int], ...]:
    """Return what arrived out of order, after what arrived twice (RFC 2018, RFC 2883)."""
    receiver = tcb.receiver
    blocks: list[tuple[int, int]] = []
    if limit <= 0:
        return ()
    if receiver.duplicate is not None:
        blocks.append(receiver.duplicate)
        around = receiver.buffer.around(receiver.duplicate[0])
        if around is not None:
            blocks.append(around)
        receiver.duplicate = None
    blocks += [block for block in receiver.buffer.blocks(limit) if block not in blocks[1:]]
    base = receiver.base
    return tuple(
        ((base + start) & BITS_32, (base + end) & BITS_32) for start, end in blocks[:limit]
    )


def _handshake(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send SYN or SYN,ACK: the first time, or again."""
    sender = tcb.sender
    if sender.next < 0:
        record = Sent(-1, 0, b"", None, SYN, now)
        sender.note_sent(record)
        sender.next = 0
        sender.rto_at = now + sender.rtt.backed_off(sender.backoffs)
    elif sender.board.lost:
        record = sender.board.records[0]
        sender.note_sent_again(record, now)
        sender.rto_at = now + sender.rtt.backed_off(sender.backoffs)
    else:
        if tcb.state is State.SYN_RECEIVED and (tcb.pure_ack or tcb.receiver.ack_now):
            tcb.pure_ack = False
            out.append(pure_ack(tcb, now))
        return
    out.append(_syn(tcb, now))


def _syn(tcb: Tcb, now: int) -> Segment:
    answer = tcb.state is State.SYN_RECEIVED
    flags = SYN | ACK if answer else SYN
    # RFC 3168, section 6.1.1.1: no longer asked for once a SYN has been lost.
    if tcb.ecn and not (not answer and tcb.sender.backoffs):
        flags |= ECE if answer else ECE | CWR
    options: list[Option] = [MaximumSegmentSize(tcb.advertised_mss)]
    taken = 4
    if tcb.sack:
        options.append(SackPermitted())
        taken += 4
    if tcb.timestamps:
        options.append(Timestamps(tcb.timestamp(now), tcb.ts_recent if answer else 0))
        taken += 12
    if tcb.window_scaling:
        options.append(WindowScale(tcb.config.window_shift))
        taken += 4
    if tcb.extension is not None:
        options += tcb.extension.options(flags, None, MAX_LENGTH - taken)
    receiver = tcb.receiver
    offered = tcb.extension.window() if tcb.extension is not None else None
    window = min(0xFFFF, receiver.window_to_advertise() if offered is None else offered)
    receiver.edge = max(receiver.edge, receiver.next + window)  # never scaled (RFC 7323, 2.2)
    if answer:
        receiver.ack_sent()
    return Segment(
        source=tcb.flow.local,
        destination=tcb.flow.remote,
        seq=(tcb.sender.base - 1) & BITS_32,
        ack=receiver.ack_number if answer else 0,
        flags=flags,
        window=window,
        options=tuple(options),
    )


def _retransmissions(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send again what is lost, as far as the congestion window lets it."""
    sender = tcb.sender
    recovery, board = sender.recovery, sender.board
    while (record := board.next_lost()) is not None:
        in_flight = recovery.in_flight
        length = min(record.end - record.start, sender.mss)
        if in_flight and in_flight + length > recovery.window:
            sender.window_used(used_up=True)
            return
        room = max(recovery.window - in_flight, sender.mss)
        out.append(retransmit(tcb, record, room, now))


def retransmit(tcb: Tcb, record: Sent, room: int, now: int) -> Segment:
    """Return a record's segment again; what is larger than ``room`` octets is cut first."""
    sender = tcb.sender
    options, taken = _options(tcb, ACK, record.ext, now)
    fits = max(1, sender.segment_limit - taken)
    limit = max(fits, min(room, _MAX_PAYLOAD) // fits * fits) if tcb.config.gso else fits
    if len(record.payload) > limit:
        sender.board.cut(record, limit)
    sender.note_sent_again(record, now)
    sender.recovery.sent_again(record)
    sender.last_sent_ns = now
    sender.start_timer(now)
    gso_size = fits if len(record.payload) > fits else 0
    flags = ACK | record.flags
    return _segment(tcb, flags, record.start, record.payload, options, gso_size)


def _new_data(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send what has not been sent, and set the timers that go with it."""
    sender = tcb.sender
    if sender.queue.octets and not sender.board.records:
        _restart_after_idle(tcb, now)
    before = sender.next
    _fill_window(tcb, now, out)
    if not sender.queue.octets and sender.closing and sender.finished is None:
        _fin(tcb, now, out)
    if sender.next != before:
        sender.last_sent_ns = now
        sender.start_timer(now)
        sender.arm_probe(now)
    elif sender.blocked and sender.persist_at == NEVER:
        sender.persist_at = now + sender.rtt.backed_off(sender.backoffs)


def _fill_window(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send new data as far as both windows, Nagle's rule and silly window avoidance let it."""
    sender = tcb.sender
    queue, recovery, mss = sender.queue, sender.recovery, sender.mss
    while queue.octets:
        window = sender.window_left
        in_flight = recovery.in_flight
        run = queue.run(mss)
        if in_flight and in_flight + run > recovery.window:
            break
        if (run > window or run < mss) and not _worth_sending(tcb, min(run, window), window):
            break
        out.append(_data(tcb, min(window, max(recovery.window - in_flight, mss)), now))
    # Whoever gives data only as the window has room, as MPTCP does, leaves none in the queue.
    sender.window_used(used_up=recovery.in_flight + mss > recovery.window)


def _worth_sending(tcb: Tcb, octets: int, window: int) -> bool:
    """Tell whether a segment that is not full may leave (RFC 9293, section 3.8.6.2.1).

    Of octets without ``ext`` one small segment may be outstanding: Minshall's form of Nagle's
    rule, as in Linux.  With ``ext`` whoever sends has decided already what makes a segment.
    """
    sender = tcb.sender
    if octets <= 0:
        return False
    if sender.queue.octets > window and octets == window:
        return octets * 2 >= sender.max_window
    if not tcb.nagle or sender.closing or sender.queue.ext is not None:
        return True
    return sender.small_end <= sender.una or octets < sender.queue.octets


def _data(tcb: Tcb, limit: int, now: int) -> Segment:
    """Return a segment of new data of at most ``limit`` octets."""
    sender = tcb.sender
    queue = sender.queue
    ext = queue.ext
    options, taken = _options(tcb, ACK, ext, now)
    fits = sender.segment_limit - taken
    size = min(fits, limit)
    if tcb.config.gso and limit > fits:  # full segments only: the rest is a segment of its own
        size = max(fits, queue.run(min(limit, _MAX_PAYLOAD)) // fits * fits)
    payload = queue.take(size)
    start = sender.next
    end = start + len(payload)
    flags = ACK
    record_flags = 0
    if not queue.octets:
        flags |= PSH
        if sender.closing and sender.una + sender.window > end:
            flags |= FIN
            record_flags = FIN
            sender.finished = end
            end += 1
    if len(payload) < fits:
        sender.small_end = end
    sender.note_sent(Sent(start, end, payload, ext, record_flags, now))
    sender.next = end
    sender.recovery.sent(end - start)
    ecn = NOT_ECT
    if tcb.ecn:
        ecn = ECT_0
        if tcb.ecn_reduced:
            flags |= CWR
            tcb.ecn_reduced = False
    gso_size = fits if len(payload) > fits else 0
    return _segment(tcb, flags, start, payload, options, gso_size, ecn)


def _fin(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send FIN on its own."""
    sender = tcb.sender
    if not sender.window_left:
        return
    start = sender.next
    sender.finished = start
    options, _ = _options(tcb, ACK | FIN, None, now)
    sender.note_sent(Sent(start, start + 1, b"", None, FIN, now))
    sender.next = start + 1
    out.append(_segment(tcb, ACK | FIN, start, b"", options, 0))


def _restart_after_idle(tcb: Tcb, now: int) -> None:
    """Shrink the window after a long silence (RFC 5681, section 4.1)."""
    sender = tcb.sender
    idle = now - sender.last_sent_ns
    if sender.last_sent_ns and idle > sender.rtt.rto:
        sender.recovery.idled(idle // sender.rtt.rto, now)


def tail_loss_probe(tcb: Tcb, now: int) -> Segment | None:
    """Return TLP's probe: new data if there is, else the last segment (RFC 8985, section 7.3)."""
    sender = tcb.sender
    if sender.queue.octets and sender.queue.run(sender.mss) <= sender.window_left:
        sender.probe_resent = False
        segment = _data(tcb, sender.mss, now)
    else:
        record = sender.board.records[-1]
        if record.fate is not Fate.IN_FLIGHT:
            return None
        if len(record.payload) > sender.mss:
            sender.board.cut(record, (len(record.payload) - 1) // sender.mss * sender.mss)
            record = sender.board.records[-1]
        sender.probe_resent = True
        segment = retransmit(tcb, record, sender.mss, now)
    sender.probe_end = sender.next
    return segment
