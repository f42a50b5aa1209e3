"""Machines for tests; where one cannot work here the test is skipped, and says how to get it."""

from __future__ import annotations

import pytest

from testbed.machine import Machine, machine


def usable(name: str) -> Machine:
    """Return a machine that works here."""
    found = machine(name)
    available = found.availability()
    if not available.ok:
        pytest.skip(f"{name}: {available.why}: {available.remedy}")
    return found
