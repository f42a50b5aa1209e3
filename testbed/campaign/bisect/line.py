"""A binary search over a list."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect.model import Candidate


class Line:
    """Candidates in order, from a good one to a bad one."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._all = tuple(candidates)
        self._good, self._bad = 0, len(candidates) - 1
        self._skipped: set[int] = set()

    def current(self) -> Candidate | None:
        """Return the candidate to be judged: the nearest to the middle that is not skipped."""
        middle = (self._good + self._bad) / 2
        places = self._open()
        return self._all[min(places, key=lambda it: abs(it - middle))] if places else None

    def mark(self, candidate: Candidate, judgement: Judgement) -> None:
        """Record the judgement of a candidate."""
        place = self._all.index(candidate)
        if judgement is Judgement.GOOD:
            self._good = place
        elif judgement is Judgement.BAD:
            self._bad = place
        else:
            self._skipped.add(place)

    def left(self) -> int:
        """Return how many steps are left, if no candidate is skipped."""
        return len(self._open()).bit_length()

    def culprits(self) -> Sequence[Candidate]:
        """Return the candidates after the last good one, up to the first bad one."""
        return self._all[self._good + 1 : self._bad + 1]

    def _open(self) -> list[int]:
        return [it for it in range(self._good + 1, self._bad) if it not in self._skipped]
