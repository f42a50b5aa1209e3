"""Carry out a workload: start its programs in the nodes, wait, and compare what both ends say."""

from __future__ import annotations

from testbed.workload import command, iperf3, pair
from testbed.workload.launcher import Launcher
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Command, Iperf3, Workload
from testbed.workload.stacks import stack as stack_of


def no_progress(_: object) -> None:
    """Do nothing with progress."""


async def run(
    workload: Workload,
    *,
    stack: str,
    address: str,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress = no_progress,
) -> WorkloadResult:
    """Run one workload to its end.

    :param stack: the name of a stack; of a built-in workload also ``SOURCE/TARGET``.
    :param address: the address of the target that is dialled.
    :param seed: of the payload.
    :param timeout_ns: for the whole; programs still running then are stopped.
    :raises InputError: there is no such stack.
    :raises WorkloadError: a program failed, time ran out, or an octet was not delivered as sent.
    :raises PlatformError: the stack cannot be used here, or a program is missing.
    """
    match workload:
        case Iperf3():
            return await iperf3.run(
                workload, stack_of(stack), address, launcher, timeout_ns, on_progress
            )
        case Command():
            return await command.run(
                workload, stack_of(stack), address, launcher, seed, timeout_ns, on_progress
            )
        case _:
            return await pair.run(workload, stack, address, launcher, seed, timeout_ns, on_progress)
