"""The documentation site: no warning, no link that leads nowhere, no page left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="sphinx is not installed")
pytest.importorskip("furo", reason="furo is not installed")
pytest.importorskip("myst_parser", reason="myst-parser is not installed")

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.timeout(600)
def test_the_site_has_no_warnings(tmp_path):
    """Sphinx warns of links that lead nowhere, and of pages that no table of contents names.

    The builder "dummy" does all but write HTML, which takes as long again and finds nothing more.
    """
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "dummy"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
