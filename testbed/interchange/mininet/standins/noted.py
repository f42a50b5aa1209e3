"""The record of a script's calls."""

from __future__ import annotations

from typing import Any

NETS: list[Any] = []  # networks and links, in the order of their creation
LINKS: list[Any] = []
COMMANDS: list[tuple[str | None, str]] = []  # commands of a node, or of the machine itself
NOTES: dict[str, None] = {}
