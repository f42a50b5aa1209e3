"""The extension of the connections of a test: none, or one that does nothing."""

from __future__ import annotations

from testbed.stack.tcp.extension import Acceptor, Extension
from testbed.stack.tcp.no_extension import NoExtension


class Riding:
    """The choice for the test that runs, and all the segments it has seen."""

    def __init__(self) -> None:
        self.extended = False
        self.transcript: list[str] = []

    def extension(self) -> Extension | None:
        """Return what rides on a connection that is opened."""
        return NoExtension() if self.extended else None

    def acceptor(self) -> Acceptor | None:
        """Return what decides for a listener."""
        return NoExtension() if self.extended else None


RIDING = Riding()
