"""Output: only this module creates segments, and it does not change them later."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from testbed.packet.option_list import options_size
from testbed.packet.options import (
    MAX_LENGTH,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
)
from testbed.packet.segment import ACK, ECE, FIN, NOT_ECT, RST, SYN, URG, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.recovery import Phase
from testbed.stack.tcp.scoreboard import MOST_RECORDS
from testbed.stack.tcp.sent import Fate, Sent
from testbed.stack.tcp.state import HANDSHAKE, State
from testbed.stack.tcp.tcb import Tcb

_MAX_PAYLOAD: Final = 0xFFFF - 120  # payload of a large segment: with headers it fits into IPv4


def segments_to_send(tcb: Tcb, now: int) -> list[Segment]:
    """Return the segments to send now."""
    out: list[Segment] = []
    receiver = tcb.receiver
    if tcb.reset:
        tcb.reset_sent()
        tcb.owner.count("TcpOutRsts")
        out.append(_control(tcb, RST | ACK, now))
    elif tcb.state in HANDSHAKE:
        _handshake(tcb, now, out)
    elif tcb.state is not State.CLOSED:
        if receiver.stretch is not None or receiver.requested or tcb.keepalive.asked:
            _before_data(tcb, now, out)
        if tcb.state is not State.TIME_WAIT:
            if tcb.sender.board.lost:
                _retransmissions(tcb, now, out)
            if not tcb.sender.board.lost:
                _new_data(tcb, now, out)
        if receiver.requested_last or receiver.ack_now:
            receiver.last_request_met()
            out.append(pure_ack(tcb, now))
        if tcb.orphaned:
            tcb.linger(now)
    return out


def _before_data(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send the requested ACKs and probes, which do not wait for data."""
    receiver = tcb.receiver
    out += [_ack_of(tcb, position, now) for position in receiver.take_stretch()]
    if receiver.requested:
        receiver.request_met()
        out.append(pure_ack(tcb, now))
    if tcb.keepalive.asked:
        tcb.keepalive.probe_sent()
        out.append(probe(tcb, now))


def farewell(tcb: Tcb) -> Segment:
    """Return the RST of a connection after an exception in it. This function raises nothing."""
    options: tuple[Option, ...] = ()
    if tcb.extension is not None:
        with contextlib.suppress(Exception):  # this object itself may have failed
            options = tuple(tcb.extension.options(RST | ACK, None, MAX_LENGTH))
    return _segment(tcb, RST | ACK, tcb.sender.next, b"", options, 0)


def pure_ack(tcb: Tcb, now: int) -> Segment:
    """Return an ACK without data."""
    return _control(tcb, ACK, now)


def _ack_of(tcb: Tcb, position: int, now: int) -> Segment:
    """Return an ACK of the data before a position, although later data has arrived."""
    options, _ = _options(tcb, ACK, None, now)
    short = tcb.receiver.next - position
    return _segment(tcb, ACK, tcb.sender.next, b"", options, 0, short=short)


def probe(tcb: Tcb, now: int) -> Segment:
    """Return a segment that a reachable peer must answer.

    As in Linux, it has no octets, and its sequence number is the one before SND.UNA. It is
    unacceptable, so the peer answers with an ACK (RFC 9293, section 3.10.7.4, first). It is used as
    keep-alive (section 3.8.4) and as window probe (section 3.8.6.1).
    """
    options, _ = _options(tcb, ACK, None, now)
    return _segment(tcb, ACK, tcb.sender.una - 1, b"", options, 0)


def window_probe(tcb: Tcb, now: int) -> Segment:
    """Return a window probe: the data that fits into the window, else :func:`probe`."""
    sender = tcb.sender
    if sender.queue.octets and sender.window_left:
        segment = _data(tcb, sender.window_left, now)
        sender.timer.start(now)
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
    *,
    new_data: bool = False,
    short: int = 0,
) -> Segment:
    """Return a segment.

    :param new_data: whether its payload is sent for the first time.
    :param short: how many octets have arrived after the acknowledged position.
    """
    ecn = tcb.ecn
    urgent = 0
    config = tcb.config
    if flags & RST:
        ack, window = tcb.receiver.ack_number, 0
    else:
        offered = tcb.extension.window() if tcb.extension is not None else None
        ack, window = tcb.receiver.acknowledge(offered, short)
        if ecn.echoed(tcb.receiver.next - short) if short else ecn.echoes:
            flags |= ECE
        if tcb.sender.urgent > start:
            flags |= URG
            urgent = min(tcb.sender.urgent - start, 0xFFFF)
    return Segment(
        source=tcb.flow.local,
        destination=tcb.flow.remote,
        seq=(tcb.sender.base + start) & BITS_32,
        ack=ack,
        flags=flags,
        window=window,
        options=options,
        payload=payload,
        gso_size=gso_size,
        ecn=ecn.codepoint(new_data=new_data) if ecn.used else NOT_ECT,
        traffic_class=config.traffic_class,
        hop_limit=config.hop_limit,
        urgent=urgent,
    )


def _options(tcb: Tcb, flags: int, ext: Any, now: int) -> tuple[tuple[Option, ...], int]:
    """Return the options of a segment without SYN, and their size in octets.

    The extension's options come before SACK, which uses the rest of the room.
    """
    options: tuple[Option, ...] = ()
    taken = 0
    if tcb.timestamps.used:
        options = (tcb.timestamps.option(now),)
        taken = 12
    if tcb.extension is not None:
        more = tuple(tcb.extension.options(flags, ext, MAX_LENGTH - taken))
        if more:
            options += more
            taken += options_size(more)
    if tcb.limited and (said := tcb.user_timeout.announce(MAX_LENGTH - taken)) is not None:
        options += (said,)
        taken += 4
    receiver = tcb.receiver
    if tcb.sack and (receiver.duplicate is not None or receiver.buffer.out_of_order):
        blocks = _sack_blocks(tcb, (MAX_LENGTH - taken - 4) // 8)
        if blocks:
            options += (Sack(blocks),)
            taken += 4 + 8 * len(blocks)
    return options, taken


def _sack_blocks(tcb: Tcb, limit: int) -> tuple[tuple[int, int], ...]:
    """Return the SACK blocks: duplicates first, then out-of-order data (RFC 2018, RFC 2883)."""
    receiver = tcb.receiver
    blocks: list[tuple[int, int]] = []
    if limit <= 0:
        return ()
    duplicate = receiver.take_duplicate()
    if duplicate is not None:
        blocks.append(duplicate)
        old = duplicate[1] <= receiver.buffer.next
        tcb.owner.count("TcpExtTCPDSACKOldSent" if old else "TcpExtTCPDSACKOfoSent")
        around = receiver.buffer.around(duplicate[0])
        if around is not None:
            blocks.append(around)
    blocks += [block for block in receiver.buffer.blocks(limit) if block not in blocks[1:]]
    base = receiver.base
    return tuple(
        ((base + start) & BITS_32, (base + end) & BITS_32) for start, end in blocks[:limit]
    )


def _handshake(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send or retransmit SYN or SYN/ACK."""
    receiver = tcb.receiver
    if tcb.sender.send_syn(now):
        if tcb.sender.timer.backoffs:
            tcb.owner.count("TcpExtTCPSynRetrans")
        out.append(_syn(tcb, now))
    elif tcb.state is State.SYN_RECEIVED and (receiver.requested or receiver.ack_now):
        receiver.request_met()
        out.append(pure_ack(tcb, now))
    # As in Linux, lost data is retransmitted only after the handshake.
    if tcb.early is not None and tcb.early.accepted and not tcb.sender.board.lost:
        _fill_window(tcb, now, out)


def _syn(tcb: Tcb, now: int) -> Segment:
    answer = tcb.state is State.SYN_RECEIVED
    flags = SYN | ACK if answer else SYN
    flags |= tcb.ecn.syn_flags(answer=answer, again=tcb.sender.timer.backoffs > 0)
    options: list[Option] = [MaximumSegmentSize(tcb.advertised_mss)]
    taken = 4
    if tcb.sack:
        options.append(SackPermitted())
        taken += 4
    if tcb.timestamps.used:
        recent = tcb.timestamps.recent if answer else 0
        options.append(Timestamps(tcb.timestamps.value(now), recent))
        taken += 12
    if tcb.window_scaling:
        options.append(WindowScale(tcb.config.window_shift))
        taken += 4
    if (said := tcb.user_timeout.on_syn()) is not None:
        options.append(said)
        taken += 4
    if tcb.extension is not None:
        options += tcb.extension.options(flags, None, MAX_LENGTH - taken)
    payload = b"" if tcb.early is None else tcb.sender.send_early(tcb.early.leave(options), now)
    receiver = tcb.receiver
    offered = tcb.extension.window() if tcb.extension is not None else None
    if offered is None:
        offered = receiver.window_to_advertise()
    window = receiver.offer_unscaled(offered)
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
        ecn=tcb.ecn.codepoint(new_data=False) if flags & ECE else NOT_ECT,
        payload=payload,
        traffic_class=tcb.config.traffic_class,
        hop_limit=tcb.config.hop_limit,
    )


def _retransmissions(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Retransmit lost data as far as the congestion window allows."""
    sender = tcb.sender
    recovery, board = sender.recovery, sender.board
    while (record := board.next_lost()) is not None:
        if recovery.held_back(min(record.end - record.start, sender.mss), now):
            recovery.usage.note(sender.una, sender.next, used_up=True)
            return
        _count_retransmission(tcb, record)
        out.append(retransmit(tcb, record, recovery.room, now))


def _count_retransmission(tcb: Tcb, record: Sent) -> None:
    """Count a retransmission as Linux does. Those of the RTO itself are counted elsewhere."""
    sender = tcb.sender
    if sender.recovery.phase != Phase.LOSS:
        tcb.owner.count("TcpExtTCPFastRetrans")
    elif not sender.timer.unanswered or record.start > sender.una:
        tcb.owner.count("TcpExtTCPSlowStartRetrans")


def retransmit(tcb: Tcb, record: Sent, room: int, now: int) -> Segment:
    """Return a retransmission of a record. A record larger than ``room`` octets is split first."""
    sender = tcb.sender
    options, taken = _options(tcb, ACK, record.ext, now)
    fits = max(1, sender.segment_limit - taken)
    limit = fits
    if _may_be_large(tcb, record.start):
        limit = max(fits, min(room, _MAX_PAYLOAD) // fits * fits)
    sender.send_again(record, fits, limit, now)
    gso_size = fits if len(record.payload) > fits else 0
    flags = ACK | record.flags
    return _segment(tcb, flags, record.start, record.payload, options, gso_size)


def _new_data(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send new data, and set its timers."""
    sender = tcb.sender
    if sender.queue.octets and not sender.board.records:
        sender.idled(now)
    before = sender.next
    _fill_window(tcb, now, out)
    if not sender.queue.octets and sender.closing and sender.finished is None:
        _fin(tcb, now, out)
    if sender.next != before:
        sender.sent_new(now)
    elif sender.blocked and min(sender.timer.persist_at, sender.recovery.pacer.at) == NEVER:
        sender.timer.await_window(now)


def _fill_window(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send new data as far as both windows, Nagle's rule and silly window avoidance allow."""
    sender = tcb.sender
    queue, recovery, mss = sender.queue, sender.recovery, sender.mss
    records = sender.board.records
    while queue.octets and len(records) < MOST_RECORDS:
        window = sender.window_left
        run = queue.run(mss)
        if recovery.held_back(run, now):
            break
        if (run > window or run < mss) and not _worth_sending(tcb, min(run, window), window):
            break
        out.append(_data(tcb, min(window, recovery.room), now))
    # An extension such as MPTCP gives data only for the free window, so its queue is empty.
    in_flight = recovery.in_flight
    used_up = in_flight + mss > recovery.window
    recovery.usage.note(sender.una, sender.next, used_up=used_up)
    if not (queue.octets or used_up):
        sender.rate.ran_dry(in_flight)


def _worth_sending(tcb: Tcb, octets: int, window: int) -> bool:
    """Return whether a segment that is not full may be sent (RFC 9293, section 3.8.6.2.1).

    Without ``ext``, one small segment may be outstanding: Minshall's variant of Nagle's rule, as in
    Linux. With ``ext`` the extension has already chosen the size of the segment.
    """
    sender = tcb.sender
    if octets <= 0:
        return False
    if sender.queue.octets > window and octets == window:
        return octets * 2 >= sender.window.greatest
    if sender.closing or sender.queue.ext is not None:
        return True
    if tcb.config.cork:
        return octets < sender.queue.octets or sender.next + octets <= sender.pushed
    if not tcb.config.nagle:
        return True
    return sender.small_end <= max(sender.una, 0) or octets < sender.queue.octets


def _data(tcb: Tcb, limit: int, now: int) -> Segment:
    """Return a segment of new data of at most ``limit`` octets."""
    sender = tcb.sender
    queue = sender.queue
    ext = queue.ext
    options, taken = _options(tcb, ACK, ext, now)
    fits = max(1, sender.segment_limit - taken)
    size = min(fits, limit)
    # Take full segments only: the rest becomes a separate segment.
    if limit > fits and _may_be_large(tcb, sender.next):
        size = max(fits, queue.run(min(limit, _MAX_PAYLOAD)) // fits * fits)
    record = sender.send_data(ext, size, fits, now)
    flags = ACK | record.flags
    if tcb.ecn.used:
        flags |= tcb.ecn.on_new_data()
    gso_size = fits if len(record.payload) > fits else 0
    return _segment(tcb, flags, record.start, record.payload, options, gso_size, new_data=True)


def _may_be_large(tcb: Tcb, start: int) -> bool:
    """Return whether the network interface may segment the data at a position.

    With urgent data it may not: it would copy the urgent pointer into each piece, where it is
    wrong.
    """
    return tcb.config.gso and tcb.sender.urgent <= start


def _fin(tcb: Tcb, now: int, out: list[Segment]) -> None:
    """Send FIN without data."""
    sender = tcb.sender
    if not sender.window_left:
        return
    options, _ = _options(tcb, ACK | FIN, None, now)
    out.append(_segment(tcb, ACK | FIN, sender.send_fin(now), b"", options, 0))


def tail_loss_probe(tcb: Tcb, now: int) -> Segment | None:
    """Return TLP's probe: new data if possible, else the last segment (RFC 8985, section 7.3)."""
    sender = tcb.sender
    if sender.queue.octets and sender.queue.run(sender.mss) <= sender.window_left:
        resent = False
        segment = _data(tcb, sender.mss, now)
    else:
        record = sender.board.records[-1]
        if record.fate is not Fate.IN_FLIGHT:
            return None
        if len(record.payload) > record.piece:
            sender.board.cut(record, (len(record.payload) - 1) // record.piece * record.piece)
            record = sender.board.records[-1]
        resent = True
        segment = retransmit(tcb, record, sender.mss, now)
    sender.await_answer(now, resent=resent)
    return segment
