"""The commands of pages and help texts that make sandboxes; the others are in tests/docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.checking import (
    carried_out,
    check,
    check_examples,
    examples_carried_out,
)


@pytest.mark.sandbox
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", carried_out(sandbox=True))
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.sandbox
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", examples_carried_out(sandbox=True))
def test_the_commands_of_a_help_text_work(name: str, tmp_path: Path) -> None:
    check_examples(name, tmp_path)
