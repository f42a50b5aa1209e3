"""Processing of the ACK field: RFC 9293, section 3.10.7.4, fifth, from ESTABLISHED on."""

from __future__ import annotations

from testbed.packet.options import Sack
from testbed.packet.segment import ECE, FIN, Segment
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.connection import Delivered
from testbed.stack.tcp.extension import Notice
from testbed.stack.tcp.recovery import Phase
from testbed.stack.tcp.state import SHUT, State, Trigger
from testbed.stack.tcp.tcb import Tcb


def fifth_ack(tcb: Tcb, segment: Segment, start: int, ack: int, notice: Notice, now: int) -> None:
    """Process acknowledgment, SACK blocks, window and ECN-Echo."""
    sender = tcb.sender
    una = sender.una
    changed = False
    window = segment.window << sender.window.shift
    if ack >= una and (tcb.extension is None or tcb.extension.window_counts(window)):
        changed = sender.take_window(window, start, ack)
    blocks = _sack_blocks(tcb, segment, max(ack, una)) if tcb.sack else []
    marked = bool(segment.flags & ECE and tcb.ecn.used)
    if ack > una or blocks:
        echo = tcb.timestamps.answered_ns
        sender.acknowledge(max(ack, una), blocks, now, echo, marked=marked)
    elif not (tcb.sack or changed) and ack == una and notice is Notice.PLAIN:
        _duplicate_ack(tcb, segment, now)
    if marked:
        _congestion_echoed(tcb, now)
    if sender.una > una:
        _advanced(tcb, now)


def _duplicate_ack(tcb: Tcb, segment: Segment, now: int) -> None:
    """Count a duplicate ACK (RFC 5681, section 2) if SACK is not in use."""
    sender = tcb.sender
    if sender.board.records and not segment.payload and not segment.flags & FIN:
        sender.recovery.duplicate(sender.una, sender.next, now)


def _sack_blocks(tcb: Tcb, segment: Segment, una: int) -> list[tuple[int, int]]:
    """Return the SACK blocks of a segment as positions; record a DSACK in the first one."""
    for option in segment.options:
        if type(option) is Sack:
            return _positions(tcb, option, una)
    return []


def _positions(tcb: Tcb, option: Sack, una: int) -> list[tuple[int, int]]:
    sender = tcb.sender
    blocks = []
    for index, (left, right) in enumerate(option.blocks):
        start = expand((left - sender.base) & BITS_32, una)
        end = start + ((right - left) & BITS_32)
        if not index and _is_duplicate_report(option, start, end, una):
            sender.recovery.duplicate_reported(end)
            sender.probe.duplicate(end)
        elif una <= start < end <= sender.next:
            blocks.append((start, end))
    return blocks


def _is_duplicate_report(option: Sack, start: int, end: int, una: int) -> bool:
    """Return whether the first block reports a duplicate (RFC 2883, section 4)."""
    if end <= una:
        return start < end
    if len(option.blocks) < 2:
        return False
    left, right = option.blocks[0]
    outer_left, outer_right = option.blocks[1]
    inside = (left - outer_left) & BITS_32
    return (
        start < end and inside + ((right - left) & BITS_32) <= (outer_right - outer_left) & BITS_32
    )


def _congestion_echoed(tcb: Tcb, now: int) -> None:
    """Process ECN-Echo: react once for each window of data (RFC 3168, section 6.1.2)."""
    sender = tcb.sender
    recovery = sender.recovery
    if recovery.phase <= Phase.DISORDER and sender.una > recovery.point and sender.board.records:
        recovery.congestion_echoed(sender.una, sender.next, now)


def _advanced(tcb: Tcb, now: int) -> None:
    """Process an ACK of new data."""
    sender = tcb.sender
    tcb.data_acknowledged()
    if tcb.state in SHUT and sender.fin_acknowledged:
        _fin_acknowledged(tcb, now)


def _fin_acknowledged(tcb: Tcb, now: int) -> None:
    if tcb.state is State.FIN_WAIT_1:
        tcb.transition(Trigger.ACK_OF_FIN)
        if tcb.orphaned and tcb.config.linger:
            tcb.owner.report(tcb, Delivered())
    elif tcb.state is State.CLOSING:
        tcb.enter_time_wait(Trigger.ACK_OF_FIN, now)
    elif tcb.state is State.LAST_ACK:
        tcb.end(None, Trigger.ACK_OF_FIN)
