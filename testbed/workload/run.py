"""Run flows: start their programs in the nodes, wait for them, and compare both ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from testbed import moments
from testbed.errors import InputError
from testbed.workload import command, iperf3, pair
from testbed.workload.base import PairedSpec, Workload
from testbed.workload.carry import Prepared, Results, carry_out, naming, no_progress
from testbed.workload.flow import WORKLOAD, Flow
from testbed.workload.launcher import Launcher
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Command, Iperf3
from testbed.workload.stacks.choice import StackChoice, parse
from testbed.workload.transfer import now_ns

OnZero = Callable[[int], object]

_GRID_NS: Final = 3_200_000_000
_QUIET_NS: Final = 2 * 10**9  # time for the random IPv6 multicast group reports


async def run(
    workload: Workload,
    *,
    stack: str | StackChoice,
    address: str,
    launcher: Launcher,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress = no_progress,
) -> WorkloadResult:
    """Run one workload to its end.

    :param stack: the stack as in an experiment: ``tcp`` or ``mptcp/userspace``.
    :param address: the address of the target to connect to.
    :param seed: the seed of the payload.
    :param timeout_ns: the time limit of the workload. Programs that still run then are stopped.
    :raises InputError: no stack has this name.
    :raises WorkloadError: a program failed, the time ran out, or an octet was not delivered as
        sent.
    :raises PlatformError: the stack cannot be used here, or a program is missing.
    """
    choice = (parse(stack) if isinstance(stack, str) else stack).check()
    flow = Flow(name=WORKLOAD, workload=workload, stack=choice, address=address)
    results = await run_flows([flow], launcher, {WORKLOAD: seed}, timeout_ns, on_progress)
    return results[WORKLOAD]


async def run_flows(
    flows: Sequence[Flow],
    launcher: Launcher,
    seeds: Mapping[str, int],
    timeout_ns: int,
    on_progress: OnProgress = no_progress,
    on_zero: OnZero = no_progress,
) -> Results:
    """Run several flows concurrently. The run is over when all flows that have an end are over.

    :param seeds: the seed of each flow by its name.
    :param on_progress: called with the progress of the first flow.
    :param on_zero: called with the start of the run on CLOCK_MONOTONIC, when all programs are
        ready.
    :raises WorkloadError: as for :func:`run`. If there are several flows, it names the flow.
    """
    async with contextlib.AsyncExitStack() as stack:
        ready: dict[str, Prepared] = {}
        for flow in flows:
            telling = on_progress if flow is flows[0] else no_progress
            with naming(flow, flows):
                ready[flow.name] = await stack.enter_async_context(
                    _prepared(flow, launcher, seeds[flow.name], timeout_ns, telling)
                )
        zero_ns = _zero()
        on_zero(zero_ns)
        return await carry_out(flows, ready, zero_ns)


def _zero() -> int:
    """Return the start of the run: now, or a reproducible clock phase in virtual time.

    In virtual time the start is a multiple of 3.2 s. So it is a multiple of the interval between
    samples, and of 8 and 64 kernel ticks of 10 ms, to which the kernel rounds long timers.
    """
    if os.environ.get("TESTBED_MACHINE", "").endswith("+virtual-time"):
        return moments.next_multiple(_GRID_NS, after_ns=_QUIET_NS)
    return now_ns()


def _prepared(
    flow: Flow, launcher: Launcher, seed: int, timeout_ns: int, on_progress: OnProgress
) -> AbstractAsyncContextManager[Prepared]:
    match flow.workload:
        case Iperf3() as workload:
            return iperf3.prepared(flow, workload, launcher, timeout_ns, on_progress)
        case Command() as workload:
            return command.prepared(flow, workload, launcher, seed, timeout_ns, on_progress)
        case PairedSpec() as workload:
            return pair.prepared(flow, workload, launcher, seed, timeout_ns, on_progress)
        case workload:
            raise InputError(f"a workload of the kind {workload.kind!r} cannot be run")
