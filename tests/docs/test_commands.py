"""Each command on a page is carried out and prints the page's output, or has a declared reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import comparing, pages
from tests.docs.checking import BOOK, SHOWN, STEPS, carried_out, check


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", carried_out(sandbox=False))
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_pages_that_the_site_writes_are_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "own.md").touch()
    (tmp_path / "docs" / "reference" / "commands.md").touch()
    assert pages.paths(tmp_path) == [tmp_path / "README.md", tmp_path / "docs" / "own.md"]


@pytest.mark.parametrize("name", BOOK.pages)
def test_what_is_said_of_a_page_is_about_its_commands(name: str) -> None:
    rules = BOOK.pages[name]
    assert rules.not_executed.keys() <= BOOK.reasons.keys()
    left_out = [it for commands in rules.not_executed.values() for it in commands]
    named = {*left_out, *rules.instead}
    assert named - {pages.plain(step.command) for step in STEPS[name]} == set()
    assert len(left_out) == len(set(left_out))
    assert not set(left_out) & {*rules.instead}


def test_what_is_carried_out_instead_is_the_same_command() -> None:
    """Before ``--`` or a pipe, the program and its subcommand stay the same."""
    for rules in BOOK.pages.values():
        for shown, instead in rules.instead.items():
            assert pages.words(shown)[0] in pages.words(instead)
            assert pages.words(shown)[1] in pages.words(instead)


@pytest.mark.parametrize("name", SHOWN)
def test_commands_stand_in_blocks_of_commands(name: str) -> None:
    """Every command that a reader would type is in a block that a test carries out."""
    for fence in pages.FENCE.finditer(SHOWN[name].read_text()):
        language = pages.language(fence)
        assert language not in {"bash", "sh", "shell", "shell-session"}, fence[0]
        if language != "console":
            assert not [line for line in fence[2].splitlines() if line.lstrip().startswith("$ ")]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("goodput  17.1 Mbit/s", "goodput 17.2 Mbit/s", True),
        ("goodput  17.1 Mbit/s", "goodput 21.2 Mbit/s", False),
        ("492 ms", "500 ms", True),
        ("62 operations", "63 operations", False),
        ("10.0.1.1 is up", "10.0.1.2 is up", False),
        ("results/20261129T090145Z-f64204bc", "results/20270101T000000Z-00000000", True),
        ("sent ... in 2.0 s", "sent 500 octets in 2.1 s", True),
        ("pass", "fail", False),
    ],
)
def test_lines_are_alike(shown: str, printed: str, same: bool) -> None:
    assert (comparing.differing([shown], [printed], numbers=True) is None) == same


@pytest.mark.parametrize(
    ("shown", "difference"),
    [
        (["one", "two", "three"], None),
        (["one", "...", "three"], None),
        (["...", "two", "..."], None),
        (["one", "three"], "three"),
        (["two", "three"], "two"),
        (["one", "two"], "(nothing more, but then comes) three"),
        (["one", "...", "four"], "four"),
    ],
)
def test_what_is_left_out_is_marked(shown: list[str], difference: str | None) -> None:
    assert comparing.differing(shown, ["one", "", "two", "three"], numbers=True) == difference
