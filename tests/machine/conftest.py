"""Machines for tests that start them; where one cannot work here they are skipped, and say why."""

from __future__ import annotations

import pytest

from testbed.errors import PlatformError
from testbed.machine import kernels
from testbed.machine.model import Machine
from tests.machines import usable


@pytest.fixture(scope="session")
def qemu() -> Machine:
    """Return QEMU with Linux 6.1, fetched if it is not there."""
    found = usable("qemu:6.1")
    try:
        if kernels.at_hand("6.1") is None:
            kernels.fetch("6.1")
    except PlatformError as error:
        pytest.skip(str(error))
    return found
