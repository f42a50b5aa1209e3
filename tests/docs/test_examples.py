"""Each command of a help text is carried out, or has a declared reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import examples, pages
from tests.docs.checking import BOOK, EXAMPLES, RULES, check_examples, examples_carried_out


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", examples_carried_out(sandbox=False))
def test_the_commands_of_a_help_text_work(name: str, tmp_path: Path) -> None:
    check_examples(name, tmp_path)


def test_every_command_shows_some() -> None:
    assert [name for name, commands in EXAMPLES.items() if not commands] == []
    assert all(pages.words(each) for commands in EXAMPLES.values() for each in commands)


def test_no_help_text_wraps_its_commands() -> None:
    """``testbed.cli.helptext`` marks them; a docstring alone does not."""
    assert examples.wrapped() == []


@pytest.mark.parametrize("name", RULES)
def test_what_is_said_of_a_help_text_is_about_its_commands(name: str) -> None:
    rules = RULES[name]
    assert rules.not_executed.keys() <= BOOK.reasons.keys()
    left_out = [it for commands in rules.not_executed.values() for it in commands]
    assert {*left_out, *rules.instead} - {pages.plain(it) for it in EXAMPLES[name]} == set()
    assert len(left_out) == len(set(left_out))
    assert not set(left_out) & {*rules.instead}
    for shown, instead in rules.instead.items():
        assert pages.words(shown)[0] in pages.words(instead)
        assert pages.words(shown)[1] in pages.words(instead)
