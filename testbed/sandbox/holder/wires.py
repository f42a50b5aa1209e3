"""Wires."""

from __future__ import annotations

from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace


class Wires:
    """The wires of a sandbox."""

    emulator_pid: int | None = None

    def __init__(self, wire: Namespace, features: Features) -> None:
        self._wire = wire
        self._features = features

    def engines(self) -> dict[str, str]:
        """Link -> engine."""
        return {}
