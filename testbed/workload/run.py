"""Carry out the flows of a run: start their programs in the nodes, wait, and compare both ends."""

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
_QUIET_NS: Final = 2 * 10**9  # reports of IPv6 multicast groups, sent at random moments, are over


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

    :param stack: how an experiment writes it, ``tcp`` or ``mptcp/userspace``.
    :param address: the address of the target that is dialled.
    :param seed: of the payload.
    :param timeout_ns: for the whole; programs still running then are stopped.
    :raises InputError: there is no such stack.
    :raises WorkloadError: a program failed, time ran out, or an octet was not delivered as sent.
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
    """Run several flows at once; the run is over when each that has an end is.

    :param seeds: of what each flow does, by its name.
    :param on_progress: is told how far the first flow is.
    :param on_zero: is told when the run starts, on CLOCK_MONOTONIC: all programs are ready.
    :raises WorkloadError: as :func:`run`; where there are several flows, it names the one.
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
    """Return when the run starts: now; in virtual time at a moment that looks alike each time.

    That is a multiple of 3.2 s: of the kernel's ticks of 10 ms, to 8 and 64 of which it rounds the
    times of long timers, and of the interval between samples.
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
