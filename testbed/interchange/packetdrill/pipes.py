"""Pipes: where splice(2) moves what a socket has received."""

from __future__ import annotations

import errno


class Pipe:
    """A pipe; its octets are zeros, so that their number is all there is to know."""

    def __init__(self) -> None:
        self._octets = 0

    def fill(self, octets: int) -> None:
        """Put octets in."""
        self._octets += octets

    def read(self, limit: int) -> int:
        """Take octets out, and return how many there were.

        :raises OSError: EAGAIN, it is empty.
        """
        octets = min(limit, self._octets)
        if limit and not octets:
            raise OSError(errno.EAGAIN, "")
        self._octets -= octets
        return octets
