"""Pipes, into which splice(2) moves the received octets of a socket."""

from __future__ import annotations

import errno


class Pipe:
    """A pipe. All octets are zeros, so it stores only their number."""

    def __init__(self) -> None:
        self._octets = 0

    def fill(self, octets: int) -> None:
        """Add octets."""
        self._octets += octets

    def read(self, limit: int) -> int:
        """Remove octets, and return their number.

        :raises OSError: EAGAIN, the pipe is empty.
        """
        octets = min(limit, self._octets)
        if limit and not octets:
            raise OSError(errno.EAGAIN, "")
        self._octets -= octets
        return octets
