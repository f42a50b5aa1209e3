"""The user timeout: how long data may wait before the connection ends.

It is the local limit of RFC 9293, section 3.9.1.1, as TCP_USER_TIMEOUT of tcp(7). Both ends may
advertise theirs by the option of RFC 5482.
"""

from __future__ import annotations

from typing import Final

from testbed.packet.options import UserTimeout as UserTimeoutOption
from testbed.stack.deadlines import NEVER

_SECOND: Final = 1_000_000_000
_MOST_SECONDS: Final = 0x7FFF
# RFC 5482, section 3.1: the limits of the values that a peer can cause.
_LEAST_ADOPTED_NS: Final = 100 * _SECOND
_MOST_ADOPTED_NS: Final = 24 * 3600 * _SECOND


class UserTimeout:
    """A timer that expires when data waits for this time without progress.

    :param limit_ns: the value that the program has set. 0 means no limit, unless the peer's option
        sets one.
    :param advertised_ns: ADV_UTO of RFC 5482. 0 disables the option.
    :ivar at: the time of expiry.
    :ivar remote_ns: the last value that the peer has advertised, or 0.
    """

    __slots__ = (
        "_advertised_ns",
        "_chosen_ns",
        "_due",
        "_least_ns",
        "_limit_ns",
        "_reached",
        "at",
        "remote_ns",
    )

    def __init__(self, limit_ns: int, advertised_ns: int = 0) -> None:
        self._chosen_ns = self._limit_ns = limit_ns
        self._advertised_ns = advertised_ns
        self._least_ns = _LEAST_ADOPTED_NS
        self._due = advertised_ns > 0  # whether the next segment carries the option
        self._reached: tuple[int, bool] = (-1, False)
        self.at = NEVER
        self.remote_ns = 0

    @property
    def limit_ns(self) -> int:
        """The present limit; 0 without one."""
        return self._limit_ns

    def limit(self, limit_ns: int, advertised_ns: int = 0) -> None:
        """Set the limit. A change restarts the wait."""
        self._due |= 0 < advertised_ns != self._advertised_ns
        self._chosen_ns, self._advertised_ns = limit_ns, advertised_ns
        self._adopt()

    def take(self, option: UserTimeoutOption | None, rto_ns: int) -> None:
        """Process the option of a segment, if there is one (section 3.1).

        A value that the program has set stays.

        :param rto_ns: the greatest retransmission timeout, which is the lower bound.
        """
        if option is None or not option.value or not self._advertised_ns:
            return
        self.remote_ns = option.seconds * _SECOND
        self._least_ns = max(rto_ns + _SECOND, _LEAST_ADOPTED_NS)
        self._adopt()

    def _adopt(self) -> None:
        """Use the larger advertised value, unless the program has set one."""
        before, self._limit_ns = self._limit_ns, self._chosen_ns
        if not self._chosen_ns and self.remote_ns and self._advertised_ns:
            wanted = max(self._advertised_ns, self.remote_ns, self._least_ns)
            self._limit_ns = min(wanted, _MOST_ADOPTED_NS)
        if self._limit_ns != before:
            self.at = NEVER

    def on_syn(self) -> UserTimeoutOption | None:
        """Return the option for a SYN."""
        return _option(self._advertised_ns) if self._advertised_ns else None

    def announce(self, room: int) -> UserTimeoutOption | None:
        """Return once the option for a segment. It is not repeated if it is lost.

        :param room: the octets left by other options.
        """
        if not self._due or room < 4:
            return None
        self._due = False
        return _option(self._advertised_ns)

    def watch(self, now: int, *, waiting: bool, una: int, sent: bool) -> None:
        """Update the timer after a change of the stream.

        :param waiting: whether data is unacknowledged or cannot be sent.
        :param una: the position up to which the stream is acknowledged.
        :param sent: whether data after it was sent. As in Linux, the time of a closed window and
            the time without an acknowledgment are counted separately.
        """
        if not self._limit_ns:
            return
        reached = una, sent
        if not waiting:
            self.at = NEVER
        elif self.at == NEVER or reached != self._reached:
            self.at = now + self._limit_ns
        self._reached = reached

    def stop(self) -> None:
        """Stop the timer."""
        self.at = NEVER


def _option(timeout_ns: int) -> UserTimeoutOption:
    """Return the option for a time: in seconds, or in minutes if these are too many."""
    seconds = max(1, timeout_ns // _SECOND)
    if seconds <= _MOST_SECONDS:
        return UserTimeoutOption(seconds)
    return UserTimeoutOption(min(seconds // 60, _MOST_SECONDS), minutes=True)
