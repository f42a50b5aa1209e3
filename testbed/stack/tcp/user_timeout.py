"""The user timeout: how long data may wait before the connection is given up.

It is the local limit of RFC 9293, section 3.9.1.1, and RFC 5482, as TCP_USER_TIMEOUT of tcp(7).
"""

from __future__ import annotations

from testbed.stack.deadlines import NEVER


class UserTimeout:
    """Expires when what waits has waited for so long without any progress.

    :param limit_ns: 0: it never expires.
    :ivar at: when it expires.
    """

    __slots__ = ("_limit_ns", "_reached", "at")

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._reached: tuple[int, bool] = (-1, False)
        self.at = NEVER

    def limit(self, limit_ns: int) -> None:
        """Set how long anything may wait; what waits now waits from the beginning."""
        self._limit_ns = limit_ns
        self.at = NEVER

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
