"""What commands share: the console for people, JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console


def clean(text: str) -> str:
    """Return text that does nothing to a terminal: control characters are written out.

    Names of files, and what a result folder of somebody else says, may hold escape sequences.
    """
    return "".join(
        each if each in "\n\t" or each.isprintable() else repr(each)[1:-1] for each in text
    )


def print_json(value: Any) -> None:
    """Print ``value``, anything msgspec can encode, as one JSON document."""
    encoded = msgspec.json.encode(value)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def console(*, stderr: bool = False) -> Console:
    """Return the console for people: colours on a terminal, plain text elsewhere.

    Away from a terminal the width is that of a wide table, so that no line is cut in a log.
    """
    from rich.console import Console

    plain = Console(stderr=stderr, highlight=False)
    return plain if plain.is_terminal else Console(stderr=stderr, highlight=False, width=160)
