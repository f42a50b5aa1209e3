"""The part of a connection's step that processes the records of its subflows."""

from __future__ import annotations

from testbed.packet.mptcp import ResetReason
from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.mptcp.parts import Parts
from testbed.stack.mptcp.state import DataState
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import check


class FastClosed(ConnectionFailure, frozen=True):
    """The failure of a connection whose peer sent MP_FASTCLOSE (section 3.5)."""


def take_records(parts: Parts) -> None:
    """Process the records about the whole connection: Data ACKs, windows, DATA_FIN, fallback."""
    outgoing = parts.outgoing
    for subflow in parts.subflows.there:
        inbound = subflow.inbound
        if not subflow.stirred or (inbound.fin_waits and subflow.usable):
            continue
        acked = subflow.data_acked()
        if acked > outgoing.una:
            outgoing.acked(acked)
        if inbound.edge > outgoing.edge:
            outgoing.open_window(inbound.edge)
        fin = inbound.take_data_fin()
        if fin is not None:
            parts.incoming.finish(fin)
        if subflow.fallback:
            parts.plain.follow()


def absorb(parts: Parts, now: int) -> None:
    """Process the records of each subflow, unless the connection fails."""
    for subflow in parts.subflows.there[:]:
        if subflow.stirred or parts.plain.begun:
            subflow.calm()
            _absorb(parts, subflow, now)
            if parts.life.failure is not None:
                return


def _absorb(parts: Parts, subflow: Subflow, now: int) -> None:
    """Process the records of one subflow."""
    check(subflow)
    if subflow.refused is not None:
        subflow.reset(ResetReason.MPTCP)
    if subflow.inbound.fastclosed:
        parts.count("MPFastcloseRx")
        parts.beginning.establish_once(subflow, now)  # the same batch may have opened it
        parts.life.fail(FastClosed(ErrorKind.RESET, "the peer sent MP_FASTCLOSE"))
        return
    if subflow.stripped and not subflow.fallback:
        parts.plain.without_data_acks(subflow)
    parts.receiver.move(subflow, parts.plain)
    if subflow.fallback:
        parts.plain.drop_others(subflow)
    parts.beginning.establish_once(subflow, now)
    if subflow.inbound.failing:
        parts.mp_fail.absorb(subflow, now)
    _follow_fallback(parts, subflow)
    if not parts.paths.started and subflow.confirmed and not subflow.fallback:
        parts.paths.start(subflow, now)
    if parts.paths.absorb(subflow, now):
        parts.fin.send_again()
    _answer(parts, subflow)
    if subflow.tcp.closed:
        _lose(parts, subflow, now)


def _follow_fallback(parts: Parts, subflow: Subflow) -> None:
    """Fall back to plain TCP after a subflow did. The connection then has one subflow."""
    if subflow.fallback:
        parts.plain.follow()
    parts.paths.set_open(not (parts.plain.begun or parts.mp_fail.waiting))


def _answer(parts: Parts, subflow: Subflow) -> None:
    """Send the answers that the end of a subflow or of the data requires."""
    if subflow.inbound.take_ack_due():
        subflow.answer()
    elif subflow.inbound.fin_waits:
        subflow.tcp.request_ack()
    if subflow.phase.retired and parts.incoming.fin is None and not subflow.fallback:
        # The peer gives this subflow up, not the connection (section 3.3.3). The last one stays
        # open for data that is outstanding.
        others = any(one.usable for one in parts.subflows.there if one is not subflow)
        if others or parts.outgoing.una == parts.outgoing.end:
            subflow.tcp.shutdown()


def _lose(parts: Parts, subflow: Subflow, now: int) -> None:
    """Handle the loss of a subflow: reinject its data, and inform the path manager."""
    outgoing = parts.outgoing
    parts.subflows.remove(subflow)
    if subflow.inbound.reset is not None:
        parts.count("MPRstRx")
    parts.sender.lost(subflow)
    parts.mp_fail.lost(subflow)
    _follow_fallback(parts, subflow)
    parts.fin.send_again()
    failure = subflow.tcp.failure
    opening = parts.life.state is DataState.OPENING
    if subflow.fallback or parts.keys.remote is None or opening:
        # Without a failure, TCP has closed in order: our FIN was acknowledged.
        if failure is None:
            outgoing.end_acked()
        if not (outgoing.fin_acked and parts.incoming.finished):
            parts.life.fail(failure or ConnectionFailure(ErrorKind.RESET))
        return
    parts.paths.lost(subflow, now)
