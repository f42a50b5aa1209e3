"""Baselines: small files, kept in git, with the results of an experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.sides import Side
from testbed.errors import InputError
from testbed.replacing import replace_file
from testbed.results.model import SCHEMA
from testbed.results.versioned import decoded

DIRECTORY: Final = Path("results/baseline")
# The facts in which a later version of testbed may differ, because a baseline checks them.
ACROSS: Final = frozenset({"checkout", "testbed"})
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*")


def place(directory: Path, name: str) -> Path:
    """Return the file of a baseline.

    :raises InputError: a baseline cannot have this name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name for a baseline",
            hint="use letters, digits, '.', '-' and '_'",
        )
    return directory / f"{name}.json"


def save(path: Path, side: Side, metrics: Sequence[str] = ()) -> None:
    """Write a baseline.

    :param metrics: the metrics to keep; by default the main ones of the experiment.
    :raises InputError: the file cannot be written, or no run counts.
    """
    kept = tuple(metrics or side.headline)
    if not any(cell.repetitions for cell in side.cells):
        raise InputError(f"{side.name} has no run that counts, so it cannot be a baseline")
    cells = tuple(
        msgspec.structs.replace(
            cell, metrics={name: cell.metrics[name] for name in kept if name in cell.metrics}
        )
        for cell in side.cells
    )
    named = msgspec.structs.replace(side, name=path.stem, headline=kept, cells=cells)
    text = json.dumps(msgspec.to_builtins(named), indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def read(path: Path) -> Side:
    """Read a baseline. All of its metrics are main ones.

    :raises InputError: it does not exist.
    :raises StoreError: it is damaged, or of a later version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        others = sorted(each.stem for each in path.parent.glob("*.json"))
        hint = f"baselines: {', '.join(others)}" if others else "`testbed baseline save` saves one"
        raise InputError(f"there is no baseline {path}: {error.strerror}", hint=hint) from error
    return decoded(content, path, Side, SCHEMA)
