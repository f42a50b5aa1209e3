"""The commands of pages that make sandboxes; those of the others are in tests/docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.checking import carried_out, check


@pytest.mark.sandbox
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", carried_out(sandbox=True))
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)
