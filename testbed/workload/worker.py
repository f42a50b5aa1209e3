"""One half of a workload as a process in a node: ``python -m testbed.workload.worker``.

It reads one :class:`~testbed.workload.messages.Task`, and writes messages as it goes.  SIGTERM
makes it say what it was waiting for, and end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Final

import msgspec

from testbed import moments
from testbed.errors import TestbedError
from testbed.failure import Failure
from testbed.workload.halves import doing
from testbed.workload.kinds import kind_of
from testbed.workload.messages import AnyMessage, Done, Failed, Meeting, Ready, Task
from testbed.workload.stacks import Look, Stack, stack
from testbed.workload.transfer import Activity, Report, limited, stoppable

PROGRESS_S: Final = 0.2
LOOK_NS: Final = 100_000_000
GRID_NS: Final = 3_200_000_000
QUIET_NS: Final = 2 * 10**9  # reports of IPv6 multicast groups, sent at random moments, are over


def main() -> None:
    """Read the task, carry it out, say how it ended."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    began = time.process_time()
    try:
        report = asyncio.run(_work(task))
    except TestbedError as error:
        _say(Failed(failure=Failure.of(error)))
    else:
        _say(Done(report=report, cpu_s=time.process_time() - began))


async def _work(task: Task) -> Report:
    activity = Activity(
        task.role,
        on_ready=lambda: _say(Ready()),
        on_start=lambda: _say(doing(activity)),
        meet=_meet,
    )
    kind, transport = kind_of(task.job), stack(task.stack)
    half = kind.connect if task.role == "client" else kind.serve
    address = (task.address, task.port)
    await transport.prepare()
    await _begin_alike(task.role)
    work = asyncio.ensure_future(
        stoppable(
            limited(half(transport, address, task.job, activity), activity, task.limit_ns),
            activity,
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    looks: list[Look] = []
    beside = [asyncio.ensure_future(_tell(activity))]
    if not transport.in_kernel:
        beside.append(asyncio.ensure_future(_look(transport, looks)))
    try:
        report = await work
        await transport.finish()
        return msgspec.structs.replace(report, looks=tuple(looks))
    finally:
        for task_beside in beside:
            task_beside.cancel()


async def _begin_alike(role: str) -> None:
    """In a machine with virtual time, begin in a state that does not depend on what went before.

    What was imported, and from where, shifts the clock by microseconds.  So both halves begin at a
    multiple of 3.2 s: of the kernel's ticks of 10 ms, to 8 and 64 of which it rounds the times of
    long timers, and of the interval between samples.
    """
    if os.environ.get("TESTBED_MACHINE", "").endswith("+virtual-time"):
        due_ns = moments.next_multiple(GRID_NS, after_ns=QUIET_NS)
        await (moments.until_settled if role == "client" else moments.until)(due_ns)


async def _meet() -> None:
    _say(Meeting())
    loop = asyncio.get_running_loop()
    met = asyncio.Event()
    loop.add_reader(sys.stdin, met.set)
    await met.wait()
    loop.remove_reader(sys.stdin)
    os.read(sys.stdin.fileno(), 1)


async def _look(transport: Stack, looks: list[Look]) -> None:
    """Look at the connections when probes look at those of the kernel."""
    while True:
        await moments.until(moments.next_multiple(LOOK_NS))
        looks += transport.connections()


async def _tell(activity: Activity) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        if activity.started_ns is not None:
            _say(doing(activity))


def _say(message: AnyMessage) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
