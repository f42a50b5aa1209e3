"""The user timeout: how long data may wait before the connection is given up.

It is the local limit of RFC 9293, section 3.9.1.1, as TCP_USER_TIMEOUT of tcp(7).  Both ends may
tell one another of theirs, by an option of RFC 5482.
"""

from __future__ import annotations

from typing import Final

from testbed.packet.options import UserTimeout as UserTimeoutOption
from testbed.stack.deadlines import NEVER

_SECOND: Final = 1_000_000_000
_MOST_SECONDS: Final = 0x7FFF
# RFC 5482, section 3.1: the limits of what a peer can bring about.
_LEAST_ADOPTED_NS: Final = 100 * _SECOND
_MOST_ADOPTED_NS: Final = 24 * 3600 * _SECOND


class UserTimeout:
    """Expires when what waits has waited for so long without any progress.

    :param limit_ns: what the program has chosen; 0: it never expires, as long as no peer's option
        says otherwise.
    :param advertised_ns: ADV_UTO of RFC 5482; 0: its option is neither sent nor heeded.
    :ivar at: when it expires.
    :ivar remote_ns: what the peer has advertised last, 0 if nothing.
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
        self._due = advertised_ns > 0  # the option is to go with the next segment
        self._reached: tuple[int, bool] = (-1, False)
        self.at = NEVER
        self.remote_ns = 0

    @property
    def limit_ns(self) -> int:
        """How long anything may wait now; 0: for ever."""
        return self._limit_ns

    def limit(self, limit_ns: int, advertised_ns: int = 0) -> None:
        """Set how long anything may wait; where that changes, what waits begins anew."""
        self._due |= 0 < advertised_ns != self._advertised_ns
        self._chosen_ns, self._advertised_ns = limit_ns, advertised_ns
        self._adopt()

    def take(self, option: UserTimeoutOption | None, rto_ns: int) -> None:
        """Take what a segment of the peer says, if it says something (section 3.1).

        What the program has chosen stays.

        :param rto_ns: the greatest retransmission timeout; no timeout may be shorter.
        """
        if option is None or not option.value or not self._advertised_ns:
            return
        self.remote_ns = option.seconds * _SECOND
        self._least_ns = max(rto_ns + _SECOND, _LEAST_ADOPTED_NS)
        self._adopt()

    def _adopt(self) -> None:
        """Go by the larger of what both ends have advertised, unless the program has chosen."""
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
        """Return the option for a segment that leaves, once: it is not sent again if it is lost.

        :param room: octets that other options have left.
        """
        if not self._due or room < 4:
            return None
        self._due = False
        return _option(self._advertised_ns)

    def watch(self, now: int, *, waiting: bool, una: int, sent: bool) -> None:
        """Look at a stream after anything may have happened to it.

        :param waiting: some of it is unacknowledged, or cannot be sent.
        :param una: position up to which it is acknowledged.
        :param sent: something from there on is sent.  The time behind a closed window and that
            without an acknowledgment are counted apart, as in Linux.
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
        """Wait for nothing any more."""
        self.at = NEVER


def _option(timeout_ns: int) -> UserTimeoutOption:
    """Return the option for a time: in seconds, or in minutes where these are too many."""
    seconds = max(1, timeout_ns // _SECOND)
    if seconds <= _MOST_SECONDS:
        return UserTimeoutOption(seconds)
    return UserTimeoutOption(min(seconds // 60, _MOST_SECONDS), minutes=True)
