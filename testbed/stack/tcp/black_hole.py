"""PMTUD black holes: RFC 4821, section 7.7; RFC 2923, section 2.1.

Such a path drops large packets and sends no ICMP error.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER

_FIRST_MTU: Final = {4: 1024, 6: 1280}  # RFC 4821, section 7.2: search_low
_LEAST_MTU: Final = {4: 68, 6: 1280}
_TIMEOUTS: Final = 3  # R1 of RFC 9293, section 3.8.3
_RETRY_NS: Final = 600 * 1_000_000_000  # as PMTU_RAISE_TIMER of RFC 8899, section 5.1.1


class BlackHole:
    """Reduces the packet size when large packets get no answer.

    A path that is down looks the same, so the previous size is tried again after ten minutes.

    :ivar at: the time of that.
    """

    __slots__ = ("_before", "at")

    def __init__(self) -> None:
        self.at = NEVER
        self._before = 0  # the MTU before the reduction

    def shrink(self, mtu: int, packet: int, version: int, timeouts: int, now: int) -> int:
        """Return the MTU to use after timeouts in a row; ``mtu`` if it may be right.

        :param packet: the size of the unanswered IP packet in octets, for its IP version.
        """
        first = _FIRST_MTU[version]
        smaller = first if mtu > first else max(mtu // 2, _LEAST_MTU[version])
        if timeouts < _TIMEOUTS or packet <= smaller:
            return mtu
        self._before = max(self._before, mtu)
        self.at = now + _RETRY_NS
        return smaller

    def retry(self) -> int:
        """Return the previous MTU, to try it again."""
        before, self._before = self._before, 0
        self.at = NEVER
        return before

    def forget(self) -> None:
        """Stop: a router has reported the MTU, or the connection has ended."""
        self.retry()
