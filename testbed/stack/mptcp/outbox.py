"""The signals of a subflow that wait for an ACK. Each leaves on an ACK of its own."""

from __future__ import annotations

from testbed.packet.options import Option


class Outbox:
    """A queue of options.

    :ivar waiting: the queued options. Only the methods of this class change it.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Option] = []

    def add(self, option: Option) -> None:
        """Queue a signal."""
        self.waiting.append(option)

    def add_first(self, option: Option) -> None:
        """Queue a signal before all others."""
        self.waiting.insert(0, option)

    def take(self) -> Option:
        """Remove and return the next signal. There must be one."""
        return self.waiting.pop(0)

    def clear(self) -> None:
        """Drop all signals."""
        self.waiting.clear()
