"""The search: it compares candidates with the good end until the culprit is found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from testbed.analysis import judgement, likeness, wording
from testbed.analysis.comparison import Comparison, compare
from testbed.analysis.judgement import Judgement, Row
from testbed.analysis.sides import Side, select, selector
from testbed.campaign.bisect import model
from testbed.campaign.bisect.commits import Commits, worktree
from testbed.campaign.bisect.line import Line
from testbed.campaign.bisect.measuring import Measuring
from testbed.campaign.bisect.model import Candidate, Found, Order, State, Step, Wanted
from testbed.campaign.bisect.places import UnusableError, place
from testbed.errors import InputError
from testbed.machine.uml import maker

_GOOD, _BAD = 0, 1  # the numbers of the steps that measure the ends
_TIMES: Final = 4  # the maximum multiple of the repetitions, by default


class Watcher(Protocol):
    """Receives the progress of a search."""

    def begin(self, candidate: Candidate, left: int | None) -> None:
        """Receive the measured candidate; ``left`` estimates the steps left, None for an end."""

    def again(self, candidate: Candidate, repetitions: int) -> None:
        """Receive a candidate that was not decided and is measured with more repetitions."""

    def ends(self, found: Comparison) -> None:
        """Receive the comparison of both ends."""

    def judged(self, step: Step) -> None:
        """Receive the judgement."""

    def said(self, line: str) -> None:
        """Receive a line of `testbed run` on its progress."""


# The comparison of a candidate, the folder of the good end, and that of the candidate.
Compared = tuple[Comparison, Path, Path]


def search(directory: Path, state: State, watcher: Watcher, building: maker.Watcher) -> Found:
    """Start or continue a search.

    :param directory: the folder of the search.
    :param building: the receiver of the progress of kernel builds.
    :raises InputError: the ends do not differ as stated, or cannot be measured.
    """
    with _tree(state.wanted) as tree:
        measuring = Measuring(
            state.wanted, directory, place(state.wanted, tree, building), watcher.said
        )
        return Search(directory, state, measuring, watcher).run(
            lambda steps: _order(state.wanted, tree, directory / model.GIT_LOG, steps)
        )


@contextlib.contextmanager
def _tree(wanted: Wanted) -> Iterator[Path | None]:
    """Yield a worktree, if commits are searched."""
    if not wanted.tree:
        yield None
        return
    with worktree(Path(wanted.tree)) as tree:
        yield tree


def _order(wanted: Wanted, tree: Path | None, log: Path, steps: tuple[Step, ...]) -> Order:
    if tree is not None:
        found = Commits(tree, wanted.good, wanted.bad, log=log, first_parent=wanted.first_parent)
        found.start(steps)
        return found
    line = Line([Candidate(name=name) for name in wanted.machines])
    for step in steps:
        line.mark(step.candidate, step.judgement)
    return line


class Search:
    """A search, with its progress kept in its folder.

    :param directory: the folder.
    :param state: the progress so far.
    """

    def __init__(
        self, directory: Path, state: State, measuring: Measuring, watcher: Watcher
    ) -> None:
        self._directory, self._state = directory, state
        self._measuring, self._watcher = measuring, watcher
        self._wanted = state.wanted
        self._sought = judgement.sought(new_is_better=self._wanted.new_is_better)

    def run(self, order: Callable[[tuple[Step, ...]], Order]) -> Found:
        """Search.

        :param order: a function that returns the order of candidates, given the finished steps.
        :raises InputError: the ends do not differ as stated, or cannot be measured.
        """
        if self._state.fault is None:
            self._compare_ends()
        following = order(self._state.steps[1:])
        while (candidate := following.current()) is not None:
            self._watcher.begin(candidate, following.left())
            step = self._judged(candidate, _BAD + len(self._state.steps))
            self._keep(step)
            following.mark(candidate, step.judgement)
        return self._found(tuple(following.culprits()))

    def _compare_ends(self) -> None:
        wanted = self._wanted
        for number, end in ((_GOOD, wanted.good), (_BAD, wanted.bad)):
            self._watcher.begin(end, None)
            try:
                self._measuring.measured(end, number, None)
            except UnusableError as error:
                raise error.of_end(end) from error
            if number == _GOOD:
                likeness.check(wanted.terms.across, self._side(self._measuring.first, end))
        try:
            found, base, new = self._compared(wanted.bad, _BAD, ())
        except UnusableError as error:
            raise error.of_end(wanted.bad) from error
        rows = judgement.fault(found, self._sought)
        self._watcher.ends(found)
        if not rows:
            raise judgement.refuse_ends(found, new_is_better=wanted.new_is_better)
        self._state = msgspec.structs.replace(self._state, fault=rows)
        self._keep(_step(wanted.bad, Judgement.BAD, _said(found, rows), base, new))

    def _judged(self, candidate: Candidate, number: int) -> Step:
        rows = self._state.fault or ()
        try:
            found, base, new = self._compared(candidate, number, rows)
        except UnusableError as error:
            return Step(candidate=candidate, judgement=Judgement.SKIP, why=str(error))
        judged = judgement.judge(found, rows, self._sought)
        return _step(candidate, judged or Judgement.SKIP, _said(found, rows), base, new)

    def _compared(self, candidate: Candidate, number: int, rows: tuple[Row, ...]) -> Compared:
        """Compare a candidate with the good end, and add repetitions until it is decided.

        :param rows: the fault; empty if the ends themselves are compared.
        :raises UnusableError: it cannot be measured or compared.
        """
        repetitions: int | None = None
        while True:
            base = self._measuring.measured(self._wanted.good, _GOOD, repetitions)
            new = self._measuring.measured(candidate, number, repetitions)
            found = self._held(base, new, candidate)
            more = self._more(found, rows, base)
            if more is None:
                return found, base, new
            repetitions = more
            self._watcher.again(candidate, repetitions)

    def _held(self, base: Path, new: Path, candidate: Candidate) -> Comparison:
        one, other = self._side(base, self._wanted.good), self._side(new, candidate)
        try:
            return compare(one, [other], self._wanted.terms)
        except InputError as error:
            raise UnusableError(error.message, hint=error.hint) from error

    def _more(self, found: Comparison, rows: tuple[Row, ...], base: Path) -> int | None:
        """Return the repetitions of another measurement, or ``None`` if it would not help.

        The runs of the shorter measurement are discarded, so that each decision is one test.
        """
        decided = (
            judgement.judge(found, rows, self._sought) is not None
            if rows
            else bool(judgement.fault(found, self._sought))
        )
        open_ = judgement.undecided(found, rows)
        if decided or found.exact or not open_:
            return None
        done, first = self._planned(base), self._planned(self._measuring.first)
        limit = self._wanted.max_repetitions or _TIMES * first
        asked = max((change.repetitions or 0 for change in open_), default=0)
        return min(max(2 * done, asked), limit) if done < limit else None

    def _planned(self, folder: Path) -> int:
        return max(cell.planned for cell in self._side(folder, self._wanted.good).cells)

    def _side(self, folder: Path, candidate: Candidate) -> Side:
        side = self._measuring.side(folder, candidate)
        return select(side, selector(self._wanted.where)) if self._wanted.where else side

    def _keep(self, step: Step) -> None:
        self._state = msgspec.structs.replace(self._state, steps=(*self._state.steps, step))
        model.write(self._directory, self._state)
        self._watcher.judged(step)

    def _found(self, culprits: tuple[Candidate, ...]) -> Found:
        bad = {it.candidate.name: it for it in self._state.steps if it.judgement is Judgement.BAD}
        step = next(bad[it.name] for it in culprits if it.name in bad)
        return Found(
            kind=self._wanted.kind,
            good=self._wanted.good,
            bad=self._wanted.bad,
            new_is_better=self._wanted.new_is_better,
            folder=str(self._directory),
            culprits=culprits,
            steps=self._state.steps,
            comparison=self._held(Path(step.base), Path(step.folder), step.candidate),
        )


def _step(candidate: Candidate, judged: Judgement, why: str, base: Path, folder: Path) -> Step:
    return Step(candidate=candidate, judgement=judged, why=why, base=str(base), folder=str(folder))


def _said(found: Comparison, rows: tuple[Row, ...]) -> str:
    """Describe the outcome of the fault: ``goodput of mptcp: -33.2%, regressed``."""
    said = [
        f"{wording.subject(each)}: {wording.relative(each)}, {each.verdict}"
        for each in found.changes
        if judgement.row(each) in rows
    ]
    return "; ".join(said) or "no change in the numbers in which the ends differ"
