"""Timestamps of one connection (RFC 7323, sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.packet.options import Option, Timestamps
from testbed.packet.sequence import BITS_32
from testbed.stack.tcp.config import MILLISECOND, SECOND

_VALID_NS: Final = 24 * 24 * 3600 * SECOND  # section 5.5
_FRESH_NS: Final = 60 * SECOND  # a part of 2**32 ms that is too small to guess


class Timestamping:
    """The timestamp clock of a connection, and the peer's last timestamp.

    :ivar used: whether both sides use the option. Before the handshake is complete: whether this
        side offers it.
    :ivar recent: TS.Recent.
    :ivar came: the option of the present segment; ``None`` if it has none, or the option is not in
        use.
    """

    __slots__ = ("_came_ns", "_leaving", "_offset", "came", "recent", "used")

    def __init__(self, offset: int, *, offered: bool) -> None:
        """Create the clock.

        :param offset: the offset of the clock in milliseconds, which hides the uptime.
        """
        self.used = offered
        self.recent = 0
        self.came: Timestamps | None = None
        self._came_ns = 0
        self._offset = offset
        self._leaving: Timestamps | None = None  # the option that left last

    def leave_out(self) -> None:
        """Do not use timestamps: other options need the room."""
        self.used = False

    def negotiate(self, option: Timestamps | None) -> None:
        """Process the option of the peer's SYN; ``None`` if it has none."""
        self.used = self.used and option is not None
        if self.used and option is not None:
            self.take(option)

    def take(self, option: Timestamps) -> None:
        """Record the timestamp of the next segment to acknowledge (section 4.3)."""
        self.recent = option.value

    def look(self, options: Iterable[Option], now: int) -> None:
        """Record the option of a received segment, which becomes the present one."""
        self.came = None
        self._came_ns = now
        if self.used:
            for option in options:
                if type(option) is Timestamps:
                    self.came = option
                    return

    @property
    def news(self) -> Timestamps | None:
        """The option of the present segment, unless its echo is known already."""
        came = self.came
        return came if came is not None and came.value != self.recent else None

    @property
    def answered_ns(self) -> int | None:
        """The send time of the segment that the present one echoes, or ``None``."""
        came = self.came
        return None if came is None or not self.used else self.sent_at(came.echo, self._came_ns)

    @property
    def echo_fresh(self) -> bool:
        """Whether the present segment echoes a timestamp of the last minute."""
        sent_ns = self.answered_ns
        return sent_ns is not None and self._came_ns - sent_ns <= _FRESH_NS

    def value(self, now: int) -> int:
        """Return TSval: milliseconds plus the offset of the connection."""
        return (now // MILLISECOND + self._offset) & BITS_32

    def option(self, now: int) -> Timestamps:
        """Return the option of a segment to send. Segments of one millisecond share it."""
        value, leaving = self.value(now), self._leaving
        if leaving is None or leaving.value != value or leaving.echo != self.recent:
            leaving = self._leaving = Timestamps(value, self.recent)
        return leaving

    def outdated(self, option: Timestamps, idle_ns: int) -> bool:
        """Return whether a segment is an old duplicate (PAWS, section 5.3, R1).

        :param idle_ns: the time since the last segment.
        """
        age = (option.value - self.recent) & BITS_32
        return age >= 1 << 31 and idle_ns <= _VALID_NS

    def sent_at(self, echo: int, now: int) -> int | None:
        """Return when TSval was ``echo``, or ``None`` if it never was."""
        if not echo:
            return None
        age = (self.value(now) - echo) & BITS_32
        sent_ns = (now // MILLISECOND - age) * MILLISECOND
        return sent_ns if age < 1 << 31 and sent_ns >= 0 else None
