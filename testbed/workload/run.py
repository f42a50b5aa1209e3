"""Carry out a workload: start its programs in the nodes, wait, and compare what both ends say."""

from __future__ import annotations

from testbed.workload.launcher import Launcher
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Workload
from testbed.workload.stacks import Stack


async def run(
    workload: Workload,
    *,
    stack: Stack,
    address: str,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress = lambda progress: None,
) -> WorkloadResult:
    """Run one workload to its end.

    :param address: the address of the target that is dialled.
    :param seed: of the payload.
    :param timeout_ns: for the whole; programs still running then are killed.
    :raises WorkloadError: a program failed, time ran out, or an octet was not delivered as sent.
    :raises PlatformError: the stack cannot be used here, or a program is missing.
    """
    raise NotImplementedError
