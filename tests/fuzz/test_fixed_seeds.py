"""A small fixed part of what ``python -m tests.fuzz`` looks through, and all cases once found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import codecs, guided
from tests.fuzz.cases import TARGETS, Target, failure, load
from tests.fuzz.finding import Finding, kind
from tests.fuzz.shrink import smallest

VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.json"))
SEEDS = {**dict.fromkeys(codecs.CODECS, 1000), "connection": 60, "pair": 24, "network": 100}
PARTS = 4  # parts of each target's seeds: a failure names only a few seeds


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name: str, part: int) -> None:
    """Neither an exception nor a broken invariant; the message names the seed to replay."""
    target = TARGETS[name]
    for seed in range(1 + part, 1 + SEEDS[name], PARTS):
        found = failure(target, target.make(seed))
        assert found is None, f"python -m tests.fuzz replay {name} {seed}: {found}"


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_kept_case_does_no_harm_again(path: Path) -> None:
    """Faults that were found before stay fixed."""
    target, case = load(path)
    target.play(case)


def test_there_are_kept_cases() -> None:
    """An empty folder would make the test above pass without a word."""
    assert VECTORS


class Numbers(msgspec.Struct, frozen=True):
    """A case whose fault is one of its numbers."""

    numbers: tuple[int, ...] = ()
    other: int = 0


def _play(case: Numbers) -> None:
    if 7 in case.numbers:
        raise Finding(f"a seven: of {len(case.numbers)}")


FAULTY = Target("faulty", "packets", Numbers, lambda seed: Numbers(tuple(range(seed)), 3), _play)


def test_a_case_is_made_smaller_until_only_the_fault_is_left() -> None:
    """Minimising keeps what fails and takes the rest away."""
    assert failure(FAULTY, FAULTY.make(7)) is None
    found = failure(FAULTY, FAULTY.make(100))
    assert found == "a seven"
    small = smallest(FAULTY.make(100), lambda case: failure(FAULTY, case) == found)
    assert small == Numbers((7,))


def test_the_command_tells_keeps_and_replays_what_it_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line each: what is found, how to see it again, and the smallest case as a file."""
    for targets in (vars(command)["TARGETS"], TARGETS):
        monkeypatch.setitem(targets, "faulty", FAULTY)
    for name in codecs.CODECS:
        monkeypatch.delitem(TARGETS, name)
    found = command.main(["packets", "--count", "12", "--seed", "1", "--keep", str(tmp_path)])
    assert found == 1
    assert "python -m tests.fuzz replay faulty 8\n" in capsys.readouterr().out
    (kept,) = tmp_path.iterdir()
    assert load(kept) == (FAULTY, Numbers((7,)))
    with pytest.raises(Finding):
        command.main(["replay", str(kept)])


@pytest.mark.parametrize(
    "case", [("nosuch", "5"), ("pair", "x"), ("pair", "1", "2"), ("missing.json",), ("empty.json",)]
)
def test_a_case_that_does_not_exist(
    case: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """A mistake on the command line is reported in one line, and is no finding."""
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        command.main(["replay", *case])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_kinds_tell_faults_apart() -> None:
    """A new fault does not hide behind a similar one."""
    places = [kind(Finding("octets arrive that were not sent: 7", place)) for place in ("a", "b")]
    assert places == ["octets arrive that were not sent; a", "octets arrive that were not sent; b"]

    def one(value: int) -> float:
        return 1 / value

    def other() -> float:
        return one(0)

    kinds = set()
    for call in (lambda: one(0), other):
        try:
            call()
        except ZeroDivisionError as error:
            kinds.add(kind(error))
    assert kinds == {
        "ZeroDivisionError in one from <lambda>",
        "ZeroDivisionError in one from other",
    }


def test_an_interrupt_tells_what_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and exit code 130, not a traceback."""

    def interrupted(case: Numbers) -> None:
        if len(case.numbers) == 11:
            raise KeyboardInterrupt
        _play(case)

    for targets in (vars(command)["TARGETS"], TARGETS):
        monkeypatch.setitem(targets, "faulty", FAULTY._replace(play=interrupted))
    for name in codecs.CODECS:
        monkeypatch.delitem(TARGETS, name)
    assert command.main(["packets", "--count", "50", "--seed", "1"]) == 130
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "stopped in faulty at seed 11; 1 findings so far (faulty 8)"


def test_guided_fuzzing_says_why_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing library is neither a finding nor a silent success."""
    monkeypatch.setattr(guided, "atheris", lambda: None)
    assert command.main(["atheris", "options"]) == 0
    assert "atheris is not installed" in capsys.readouterr().out


@pytest.mark.skipif(guided.atheris() is None, reason=guided.SKIPPED)
@pytest.mark.parametrize("name", codecs.CODECS)
def test_guided_fuzzing_finds_nothing_at_once(name: str) -> None:
    """In a process of its own, which the library ends; and it sees the codec's branches."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "atheris", name, "--count", "500"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    covered = [int(found) for found in re.findall(r"INITED cov: (\d+)", done.stderr)]
    assert covered
    assert covered[0] > 10
