"""The tables of scripts/packetdrill-page from the sums that the command prints."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "packetdrill-page"
SUITE = Path("/some/net/mptcp")


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("packetdrill_page", str(SCRIPT))
    spec = importlib.util.spec_from_loader("packetdrill_page", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["packetdrill_page"] = module
    loader.exec_module(module)
    return module


def summary(*directories: str):
    """Return sums as the command prints them."""
    return [{"directory": one, "passed": 3, "failed": 2, "unsupported": 1} for one in directories]


def test_several_directories_have_the_sums_of_all(script) -> None:
    rows = script.sums(summary(f"{SUITE}/dss", f"{SUITE}/mp_join", "all"), SUITE)
    assert rows == [(name, 3, 2, 1) for name in ("dss", "mp_join", "all")]
    assert script.block("net/mptcp", rows).splitlines()[2:-1] == [
        "directory  pass  fail  unsupported",
        "dss           3     2            1",
        "mp_join       3     2            1",
        "all           3     2            1",
    ]


def test_one_directory_has_its_own_name(script) -> None:
    assert script.sums(summary(str(SUITE)), SUITE) == [("mptcp", 3, 2, 1)]
