"""Paths that drop large packets and do not say so: RFC 4821, section 7.7; RFC 2923, section 2.1."""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER

_FIRST_MTU: Final = {4: 1024, 6: 1280}  # RFC 4821, section 7.2: search_low
_LEAST_MTU: Final = {4: 68, 6: 1280}
_TIMEOUTS: Final = 3  # R1 of RFC 9293, section 3.8.3
_RETRY_NS: Final = 600 * 1_000_000_000  # as PMTU_RAISE_TIMER of RFC 8899, section 5.1.1


class BlackHole:
    """Decides on smaller packets when large ones stay without an answer.

    A path that is just down looks alike, so the size of before is tried again after ten minutes.

    :ivar at: when.
    """

    __slots__ = ("_before", "at")

    def __init__(self) -> None:
        self.at = NEVER
        self._before = 0  # the MTU that was too large

    def shrink(self, mtu: int, packet: int, version: int, timeouts: int, now: int) -> int:
        """Return the MTU to go on with after so many timeouts in a row, ``mtu`` if it may be right.

        :param packet: octets of the IP packet, of that version, which has no answer.
        """
        first = _FIRST_MTU[version]
        smaller = first if mtu > first else max(mtu // 2, _LEAST_MTU[version])
        if timeouts < _TIMEOUTS or packet <= smaller:
            return mtu
        self._before = max(self._before, mtu)
        self.at = now + _RETRY_NS
        return smaller

    def retry(self) -> int:
        """Return the MTU of before, which is to be tried again."""
        before, self._before = self._before, 0
        self.at = NEVER
        return before

    def forget(self) -> None:
        """Take that a router has said what fits, or that the connection is over."""
        self.retry()
