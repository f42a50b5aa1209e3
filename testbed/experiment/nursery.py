"""A process that loads the programs of sandboxed runs once for all runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from testbed import sandbox
from testbed.probe import probes

_PROGRAMS: Final = (
    "testbed.wire.emulator",
    "testbed.probe.sampler",
    "testbed.workload.worker",
    "testbed.workload.ours",
    # What the workers of our own stack load beside the stack itself, at each end of each flow.
    "testbed.host.driver",
    "testbed.host.endpoints",
    "testbed.host.devices.opening",
)
_PROBES: Final = tuple(f"{probes.__name__}.{name}" for name in probes.PROBES.own())


def nursery() -> AbstractContextManager[None]:
    """Start the process that creates the sandboxes of all runs."""
    return sandbox.nursery((*_PROGRAMS, *_PROBES))
