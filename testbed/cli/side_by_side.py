"""The results of several machines for the same experiments, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.comparison import Comparison, Terms, compare
from testbed.analysis.likeness import ENVIRONMENT
from testbed.analysis.outcome import Outcome
from testbed.analysis.sides import Side
from testbed.cli.changes import plain, print_comparison
from testbed.cli.output import console, print_json

# The machine is compared; all other differences follow from it.
_TERMS: Final = Terms(across=frozenset({ENVIRONMENT}))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one machine for an experiment."""

    folder: Path
    outcome: Outcome
    side: Side


# The name and the contents of an experiment: two files may share a name.
_What = tuple[str, str]


def conclude(found: Sequence[Found], *, json: bool) -> None:
    """Print the comparisons, or everything as one JSON document.

    In JSON the comparison is part of the last machine of an experiment.
    """
    compared = _compared(found)
    if json:
        print_json(
            [
                {
                    "machine": each.side.name,
                    "folder": str(each.folder),
                    "summary": each.outcome,
                    "comparison": _against_the_first(compared.get(_what(each)), each.side.name),
                }
                for each in found
            ]
        )
        return
    for comparison in compared.values():
        console().print()
        print_comparison(console(), comparison)


def _against_the_first(comparison: Comparison | None, machine: str) -> object:
    """Return the part of a comparison for one machine; none for the first machine."""
    if comparison is None or machine not in comparison.news:
        return None
    changes = tuple(each for each in comparison.changes if each.side == machine)
    return plain(msgspec.structs.replace(comparison, news=(machine,), changes=changes))


def _what(found: Found) -> _What:
    return found.side.experiment, found.side.digest


def _compared(found: Iterable[Found]) -> dict[_What, Comparison]:
    """Compare each experiment that several machines have run with the first of them."""
    by_experiment: dict[_What, dict[str, Side]] = {}
    for each in found:
        by_experiment.setdefault(_what(each), {})[each.side.name] = each.side
    return {
        what: compare(first, others, _TERMS)
        for what, (first, *others) in (
            (key, list(of.values())) for key, of in by_experiment.items()
        )
        if others
    }
