"""The output of a search: its progress on standard error, and its result."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from testbed.analysis.comparison import Comparison
from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect.model import Candidate, Found, Kind, State, Step
from testbed.cli import changes
from testbed.cli.output import console, print_json
from testbed.cli.tables import print_table
from testbed.text import clean

_COLOURS: Final = {Judgement.GOOD: "green", Judgement.BAD: "red", Judgement.SKIP: "yellow"}
# For a search for an improvement, the words of git-bisect(1), "Alternate terms".
_NEUTRAL: Final = {Judgement.GOOD: "old", Judgement.BAD: "new", Judgement.SKIP: "skip"}
_HEADS: Final = {Kind.CHECKOUT: "commit", Kind.KERNEL: "commit", Kind.MACHINES: "machine"}


class Lines:
    """Prints a line for each step, and below it the lines of its runs.

    As a context manager it prints how to continue if the search is interrupted.

    :param directory: the folder of the search.
    :param new_is_better: whether the search is for an improvement.
    """

    def __init__(self, directory: Path, *, new_is_better: bool) -> None:
        self._directory = directory
        self._new_is_better = new_is_better

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            folder = shlex.quote(str(self._directory))
            _print(f"continue with: testbed bisect --resume {folder}")

    def begin(self, candidate: Candidate, left: int | None) -> None:
        """Print what is measured now."""
        steps = (
            "an end" if left is None else f"about {left} {'step' if left == 1 else 'steps'} left"
        )
        _print(f"{candidate} ({steps})")

    def again(self, candidate: Candidate, repetitions: int) -> None:
        """Print that more repetitions are measured."""
        _print(f"{candidate}: inconclusive; again with {repetitions} repetitions")

    def ends(self, found: Comparison) -> None:
        """Print the comparison of the two ends."""
        out = console(stderr=True)
        changes.print_comparison(out, found)
        out.print()

    def judged(self, step: Step) -> None:
        """Print the judgement."""
        word = _word(step.judgement, new_is_better=self._new_is_better)
        _print(f"{step.candidate}: {word}: {step.why}")

    def said(self, line: str) -> None:
        """Pass on the output of `testbed run`."""
        _print(f"  {line}")


def searched(directory: Path, state: State, *, json: bool) -> Found:
    """Carry out a search, print its progress and its result, and return the result."""
    from testbed.campaign.bisect.search import search
    from testbed.cli.building import watcher

    with Lines(directory, new_is_better=state.wanted.new_is_better) as lines:
        found = search(directory.resolve(), state, lines, watcher())
    conclude(found, directory, json=json)
    return found


def conclude(found: Found, directory: Path, *, json: bool) -> None:
    """Print the result."""
    if json:
        print_json(plain(found))
        return
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, pad_edge=False)
    for column in ("step", _HEADS[found.kind], "", "why"):
        table.add_column(column, overflow="fold")
    for number, step in enumerate(found.steps, start=1):
        word = _word(step.judgement, new_is_better=found.new_is_better)
        judged = Text(word, "" if found.new_is_better else _COLOURS[step.judgement])
        table.add_row(str(number), str(step.candidate), judged, step.why)
    print_table(out, table)
    out.print()
    changes.print_comparison(out, found.comparison)
    out.print()
    first = f"the first {_HEADS[found.kind]} that is {'better' if found.new_is_better else 'worse'}"
    if found.culprit is not None:
        out.print(f"{first}: {found.culprit}", style="bold")
    else:
        out.print(f"{first} is one of these:", style="bold")
        for each in found.culprits:
            out.print(f"  {each}")
    out.print(f"Results: {directory}", soft_wrap=True)


def plain(found: Found) -> dict[str, Any]:
    """Return a result for JSON, with the culprit if it is the only one."""
    return msgspec.structs.asdict(found) | {
        "culprit": found.culprit,
        "comparison": changes.plain(found.comparison),
    }


def _word(judgement: Judgement, *, new_is_better: bool) -> str:
    return _NEUTRAL[judgement] if new_is_better else judgement.value


def _print(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)
