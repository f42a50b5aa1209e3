"""A tracer for tests."""

from __future__ import annotations

from typing import Any


class Recorder:
    """Keeps the names of events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        assert now >= 0
        self.events.append((name, fields))

    def count(self, name: str) -> int:
        return sum(found == name for found, _ in self.events)
