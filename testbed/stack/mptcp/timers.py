"""The timers of a connection, and the reactions to their expiry."""

from __future__ import annotations

from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.mptcp.parts import Parts
from testbed.stack.mptcp.state import DataState


def watch(parts: Parts, now: int) -> None:
    """Update the time-outs after a change of the connection."""
    state = parts.life.state
    left = parts.ending.detached and state is DataState.FIN_WAIT_2
    parts.close_timeout.watch(now, needed=left or not parts.subflows.there)
    parts.patience.watch(now, opening=state is DataState.OPENING)


def next_timer(parts: Parts) -> int | None:
    """Return the time at which :func:`handle_timer` is due."""
    if parts.life.over:
        return parts.ending.retry_ns
    fail = parts.mp_fail.retry_ns
    times = [parts.close_timeout.due_ns, parts.paths.next_timer(), parts.patience.due_ns, fail]
    if fail is None and not parts.plain.begun:
        times += (parts.fin.retry_ns, parts.sender.retry_ns)
    due = None
    for time in times:
        if time is not None and (due is None or time < due):
            due = time
    return due


def handle_timer(parts: Parts, now: int) -> None:
    """Handle the expired timers. A step follows."""
    ending = parts.ending
    if parts.life.over:
        ending.handle_timer(now)
        return
    parts.mp_fail.handle_timer(now)
    if not (parts.plain.begun or parts.mp_fail.waiting):
        parts.sender.handle_timer(now)
        parts.fin.handle_timer(now)
        if parts.patience.is_unheard(parts.fin, parts.sender, detached=ending.detached):
            ending.time_out("no Data ACK arrives, although subflows work")
    parts.paths.handle_timer(now)
    if tired := parts.patience.gives_up(now):
        ending.time_out(tired)
    if parts.close_timeout.expired(now):
        if parts.subflows.there:
            ending.time_out("the peer does not close its side")
        else:
            nothing_left = ConnectionFailure(ErrorKind.TIMED_OUT, "no subflow is left")
            parts.life.fail(parts.subflows.last_words or nothing_left)
