"""What a script has asked for."""

from __future__ import annotations

from typing import Any

NETS: list[Any] = []  # networks, and links, in the order in which they were made
LINKS: list[Any] = []
COMMANDS: list[tuple[str | None, str]] = []  # of a node, or of the machine itself
NOTES: dict[str, None] = {}
