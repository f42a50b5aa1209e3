"""Machines for tests that start them; where one cannot work here they are skipped, and say why."""

from __future__ import annotations

import pytest

from testbed.errors import PlatformError
from testbed.machine import kernels, machine
from testbed.machine.model import Machine


@pytest.fixture(scope="session")
def qemu() -> Machine:
    """Return QEMU with Linux 6.1, fetched if it is not there."""
    found = machine("qemu:6.1")
    available = found.availability()
    if not available.ok:
        pytest.skip(f"{available.why}: {available.remedy}")
    try:
        if kernels.at_hand("6.1") is None:
            kernels.fetch("6.1")
    except PlatformError as error:
        pytest.skip(str(error))
    return found
