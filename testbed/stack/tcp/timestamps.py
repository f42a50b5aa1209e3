"""Timestamps of one connection (RFC 7323, sections 3 to 5)."""

from __future__ import annotations

from typing import Final

from testbed.stack.packet.options import Timestamps
from testbed.stack.packet.sequence import BITS_32
from testbed.stack.tcp.config import MILLISECOND, SECOND

_VALID_NS: Final = 24 * 24 * 3600 * SECOND  # section 5.5
_FRESH_NS: Final = 60 * SECOND  # of 2**32 milliseconds: no guess of a stranger's hits it


class Timestamping:
    """Its clock, and what the peer's last was.

    :ivar used: both sides have the option; until the handshake is over, this side offers it.
    :ivar recent: TS.Recent.
    :ivar echo_fresh: the last segment answers one that left within the last minute.
    """

    __slots__ = ("_offset", "echo_fresh", "recent", "used")

    def __init__(self, offset: int, *, offered: bool) -> None:
        """Begin.

        :param offset: what the clock is ahead of milliseconds, so that it does not tell the uptime.
        """
        self.used = offered
        self.recent = 0
        self.echo_fresh = False
        self._offset = offset

    def leave_out(self) -> None:
        """Do without them: other options need the room."""
        self.used = False

    def negotiate(self, option: Timestamps | None) -> None:
        """Take the option of the peer's SYN, ``None`` if it has none."""
        self.used = self.used and option is not None
        if self.used and option is not None:
            self.take(option)

    def take(self, option: Timestamps) -> None:
        """Note the timestamp of a segment that is the next to be acknowledged (section 4.3)."""
        self.recent = option.value

    def judge(self, option: Timestamps | None, now: int) -> None:
        """Note whether a segment's option answers what left this side of late."""
        sent_ns = None if option is None else self.sent_at(option.echo, now)
        self.echo_fresh = sent_ns is not None and now - sent_ns <= _FRESH_NS

    def value(self, now: int) -> int:
        """Return TSval: milliseconds, from an offset of the connection's own."""
        return (now // MILLISECOND + self._offset) & BITS_32

    def outdated(self, option: Timestamps, idle_ns: int) -> bool:
        """Tell whether a segment is an old duplicate (PAWS, section 5.3, R1).

        :param idle_ns: for so long nothing has been heard.
        """
        age = (option.value - self.recent) & BITS_32
        return age >= 1 << 31 and idle_ns <= _VALID_NS

    def sent_at(self, echo: int, now: int) -> int | None:
        """Return when TSval was ``echo``, or ``None`` if that never was."""
        if not echo:
            return None
        age = (self.value(now) - echo) & BITS_32
        sent_ns = (now // MILLISECOND - age) * MILLISECOND
        return sent_ns if age < 1 << 31 and sent_ns >= 0 else None
