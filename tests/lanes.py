"""Tests side by side, as ``make test`` runs them (``pytest -n auto``): what may run beside what.

One process takes all tests that happen in real time: they wait for real networks, and leave most of
a processor to the others, which only compute.  So no two tests shape traffic at the same time.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

REAL_TIME: Final = ("tests/sandbox/", "tests/interop/")
MACHINES: Final = ("tests/machine/",)


class Lanes(LoadScopeScheduling):
    """Distributes the files of tests, and all that happens in real time as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return "real time" if file.startswith(REAL_TIME) else file


def pytest_xdist_auto_num_workers() -> int:
    """Return one process for each processor, and one for tests that mostly wait."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """Return what distributes the tests."""
    config.option.loadscopereorder = False
    return Lanes(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have what takes longest begin first, if tests run side by side."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    if nodeid.startswith(REAL_TIME):
        return 0
    return 1 if nodeid.startswith(MACHINES) else 2
