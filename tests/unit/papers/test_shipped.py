"""The publications that are shipped, and the page of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.papers import measured
from testbed.papers.judging import judged
from testbed.papers.load import papers

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["papers-page", "wsp-cases"])
def test_what_a_script_writes_is_up_to_date(name: str) -> None:
    """``scripts/papers-page`` writes docs/papers.md again, the other one the tables of cases."""
    script = ROOT / "scripts" / name
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0


def test_whatever_was_not_reproduced_is_explained() -> None:
    every = papers(ROOT / "experiments" / "papers")
    surprises = [judged(paper, measured.read(paper.folder)).surprises for paper in every]
    assert [text for each in surprises for text in each] == []
    assert sum(len(paper.published.claims) for paper in every) >= 30
