"""Signals of a subflow that wait for an ACK: each rides on one of its own."""

from __future__ import annotations

from testbed.packet.options import Option


class Outbox:
    """A queue of options."""

    __slots__ = ("_signals",)

    def __init__(self) -> None:
        self._signals: list[Option] = []

    def __len__(self) -> int:
        return len(self._signals)

    def add(self, option: Option) -> None:
        """Queue a signal."""
        self._signals.append(option)

    def add_first(self, option: Option) -> None:
        """Queue a signal before all others."""
        self._signals.insert(0, option)

    def take(self) -> Option:
        """Remove and return the next one, which there is."""
        return self._signals.pop(0)

    def clear(self) -> None:
        """Drop them all."""
        self._signals.clear()
