"""What several machines made of the same experiments, one beside the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from testbed.analysis.comparison import Measured, Row, compare
from testbed.cli.output import console, print_json
from testbed.cli.tables import print_machines

# Result folders and what came out.
Found = Sequence[tuple[Path, Measured]]
# The name and the contents of an experiment: two files may share a name.
_What = tuple[str, str]


def conclude(found: Found, *, json: bool) -> None:
    """Print the comparison, or all of it as one JSON document."""
    tables = _compared(measured for _, measured in found)
    if json:
        print_json(
            [
                {
                    "machine": measured.machine,
                    "folder": str(folder),
                    "summary": measured.outcome,
                    "comparison": [
                        row
                        for row in tables.get(_what(measured), ())
                        if row.machine == measured.machine
                    ],
                }
                for folder, measured in found
            ]
        )
    else:
        for (name, _), rows in tables.items():
            print_machines(console(), name, rows)


def _what(measured: Measured) -> _What:
    return measured.outcome.experiment, measured.asked


def _compared(found: Iterable[Measured]) -> dict[_What, tuple[Row, ...]]:
    """Compare each experiment that several machines have run."""
    by_experiment: dict[_What, dict[str, Measured]] = {}
    for measured in found:
        by_experiment.setdefault(_what(measured), {})[measured.machine] = measured
    return {what: compare(list(of.values())) for what, of in by_experiment.items() if len(of) > 1}
