"""How long a sender was busy, and what limited it: tcp_chrono of Linux."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.sender import Sender

_IDLE: Final = 0  # nothing is to be sent or unacknowledged
_BUSY: Final = 1
_WINDOW: Final = 2  # the peer's window, not the congestion window, has no room for waiting data
_BUFFER: Final = 3  # all is sent, and the application waits for room to write more


class Chronograph:
    """The accumulated times up to the last update.

    :ivar busy_ns: the time with unsent or unacknowledged data.
    :ivar window_ns: the part of it limited by the peer's window.
    :ivar buffer_ns: the part of it limited by the send buffer.
    """

    __slots__ = ("_since_ns", "_state", "buffer_ns", "busy_ns", "window_ns")

    def __init__(self) -> None:
        self.busy_ns = 0
        self.window_ns = 0
        self.buffer_ns = 0
        self._state = _IDLE
        self._since_ns = 0

    def look(self, sender: Sender, now: int, *, starved: bool) -> None:
        """Update the times, and record the present state of the sender.

        :param starved: whether the application waits for room.
        """
        state = self._state
        if state:
            self._spend(state, now - self._since_ns)
        self._since_ns = now
        if sender.queue.octets:
            self._state = _WINDOW if _closed(sender) else _BUSY
        elif sender.board.records and sender.una >= 0:  # an unacknowledged SYN does not count
            self._state = _BUFFER if starved else _BUSY
        else:
            self._state = _IDLE

    def _spend(self, state: int, ns: int) -> None:
        self.busy_ns += ns
        if state == _WINDOW:
            self.window_ns += ns
        elif state == _BUFFER:
            self.buffer_ns += ns


def _closed(sender: Sender) -> bool:
    """Return whether the peer's window is the limit."""
    mss, recovery = sender.mss, sender.recovery
    wanted = min(mss, sender.queue.octets)
    return sender.window_left < wanted and recovery.window - recovery.in_flight >= mss
