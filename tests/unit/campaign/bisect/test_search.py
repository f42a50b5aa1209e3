"""Candidates compared with the good end, without a network: their measurements are synthetic."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis.comparison import Terms
from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect import model
from testbed.campaign.bisect.line import Line
from testbed.campaign.bisect.model import Candidate, Kind, State, Wanted
from testbed.campaign.bisect.places import UnusableError
from testbed.campaign.bisect.search import Search
from testbed.errors import InputError, PlatformError
from tests.unit.analysis.sides import cell, side

QUIET = (0.99, 1.0, 1.01, 1.0, 0.995, 1.005, 1.0, 1.0, 0.998, 1.002)
LOUD = (0.5, 1.5, 0.7, 1.3, 0.6, 1.4, 1.0, 0.9, 1.1, 1.0)
NAMES = ("a", "b", "c", "d", "e")


class Made:
    """Stands for what measures; notes what was measured.

    :param means: of the goodput of each candidate; ``None``: it cannot be measured.
    :param loud: candidates whose runs differ much, up to that many repetitions.
    """

    first = Path("a")

    def __init__(self, means, loud=None, exact=False):
        self.means, self.loud, self.exact = means, loud or {}, exact
        self.measurements = []

    def measured(self, candidate, number, repetitions):
        name = f"{candidate.name}{'' if repetitions is None else f'-{repetitions}'}"
        if name not in self.measurements:
            self.measurements.append(name)
        mean = self.means[candidate.name]
        if mean is None:
            raise UnusableError("it does not build", cannot=candidate.name == "e")
        return Path(name)

    def side(self, folder, candidate):
        name, _, repetitions = str(folder).partition("-")
        count = int(repetitions or (1 if self.exact else 10))
        noise = LOUD if count <= self.loud.get(name, 0) else QUIET
        values = [40e6 * self.means[name] * noise[i % 10] for i in range(count)]
        metrics = {"goodput": [40e6 * self.means[name]] if self.exact else values}
        return side(name, cell(metrics=metrics), deterministic=self.exact)


class Notes:
    """Stands for who watches."""

    def __init__(self):
        self.lines = []

    def begin(self, candidate, left):
        self.lines.append(f"{candidate.name} {left}")

    def again(self, candidate, repetitions):
        self.lines.append(f"{candidate.name} again {repetitions}")

    def ends(self, found):
        self.lines.append(f"ends {found.counts}")

    def judged(self, step):
        self.lines.append(f"{step.candidate.name} {step.judgement}")


def search(tmp_path, made, state=None, **more):
    """Search, and return the result and the messages."""
    wanted = Wanted(
        kind=Kind.MACHINES,
        good=Candidate(name="a"),
        bad=Candidate(name="e"),
        machines=NAMES,
        arguments=("try.yaml",),
        directory="/",
        python="python",
        terms=Terms(metrics=("goodput",)),
        **more,
    )
    notes = Notes()

    def order(steps):
        line = Line([Candidate(name=name) for name in NAMES])
        for step in steps:
            line.mark(step.candidate, step.judgement)
        return line

    found = Search(tmp_path, state or State(wanted=wanted), made, notes).run(order)
    return found, notes.lines


def test_the_culprit_is_found_with_its_comparison(tmp_path):
    made = Made({"a": 1.0, "b": 1.0, "c": 1.001, "d": 0.7, "e": 0.7})
    found, lines = search(tmp_path, made)
    assert found.culprit == Candidate(name="d")
    assert lines == [
        "a None",
        "e None",
        "ends {<Verdict.REGRESSED: 'regressed'>: 1}",
        "e bad",
        "c 2",
        "c good",
        "d 1",
        "d bad",
    ]
    (change,) = found.comparison.changes
    assert (found.comparison.base, change.side, change.verdict) == ("a", "d", "regressed")
    for step, change, verdict in ((1, "+0.1%", "pass"), (2, "-30.0%", "regressed")):
        why = found.steps[step].why
        assert why.startswith(f"goodput of mptcp: {change} [")
        assert why.endswith(f"%], {verdict}")


def test_what_is_not_decided_is_measured_again_with_more_repetitions(tmp_path):
    made = Made({"a": 1.0, "b": 1.0, "c": 0.85, "d": 0.85, "e": 0.85}, loud={"c": 20})
    found, lines = search(tmp_path, made)
    assert found.culprit == Candidate(name="c")
    again = [line for line in lines if "again" in line]
    counts = [int(line.split()[-1]) for line in again]
    assert again[0].startswith("c again")
    assert counts == sorted(counts)
    assert 20 < counts[-1] <= 40
    # Both sides have so many.
    assert {f"a-{counts[-1]}", f"c-{counts[-1]}"} <= set(made.measurements)


def test_what_stays_undecided_is_skipped(tmp_path):
    made = Made({"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.7, "e": 0.7}, loud={"c": 1000})
    found, lines = search(tmp_path, made, max_repetitions=20)
    assert "c skip" in lines
    assert found.culprit is None
    assert [it.name for it in found.culprits] == ["c", "d"]
    assert "c again 20" in lines
    assert not any("again 40" in line for line in lines)


def test_what_cannot_be_measured_is_skipped_with_the_reason(tmp_path):
    found, _ = search(tmp_path, Made({"a": 1.0, "b": 1.0, "c": None, "d": 0.7, "e": 0.7}))
    assert [it.name for it in found.culprits] == ["c", "d"]
    skipped = found.steps[1]
    assert (skipped.judgement, skipped.why, skipped.folder) == (
        Judgement.SKIP,
        "it does not build",
        "",
    )


def test_where_time_is_virtual_nothing_is_measured_again(tmp_path):
    made = Made({"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.99, "e": 0.99}, exact=True)
    found, lines = search(tmp_path, made)
    assert found.culprit == Candidate(name="d")
    assert not any("again" in line for line in lines)


def test_what_became_better_is_found_if_that_is_asked(tmp_path):
    made = Made({"a": 1.0, "b": 1.3, "c": 1.3, "d": 1.3, "e": 1.3})
    found, _ = search(tmp_path, made, new_is_better=True)
    assert found.culprit == Candidate(name="b")
    with pytest.raises(InputError, match=r"e is not worse than a.*add --new-is-better"):
        search(tmp_path, made)


def test_a_search_goes_on_where_it_was(tmp_path):
    means = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.7, "e": 0.7}
    whole, _ = search(tmp_path, Made(means))
    state = model.read(tmp_path)
    assert [step.candidate.name for step in state.steps] == ["e", "c", "d"]
    stopped = State(wanted=state.wanted, fault=state.fault, steps=state.steps[:2])
    made = Made(means)
    found, lines = search(tmp_path, made, stopped)
    assert found == whole
    assert lines == ["d 1", "d bad"]
    assert "c" not in made.measurements


@pytest.mark.parametrize(("end", "error"), [("a", InputError), ("e", PlatformError)])
def test_an_end_that_cannot_be_measured_ends_the_search(tmp_path, end, error):
    means = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.7, "e": 0.7} | {end: None}
    with pytest.raises(error, match=f"{end}.*: it does not build"):
        search(tmp_path, Made(means))


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not the folder of a search"):
        model.read(tmp_path)
