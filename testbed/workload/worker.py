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
from testbed.workload.stacks import stack
from testbed.workload.transfer import Activity, Report, limited, stoppable

PROGRESS_S: Final = 0.2
GRID_NS: Final = 16 * 10**9


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
    await _until_the_grid(task.role)
    work = asyncio.ensure_future(
        stoppable(
            limited(half(transport, address, task.job, activity), activity, task.limit_ns),
            activity,
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    telling = asyncio.ensure_future(_tell(activity))
    try:
        report = await work
        await transport.finish()
        return report
    finally:
        telling.cancel()


async def _until_the_grid(role: str) -> None:
    """In a machine with virtual time, begin at a multiple of 16 s of the clock.

    Reading the clock makes it advance there.  So what was imported before, and from where, would
    shift the workload by some microseconds against the kernel's ticks and the samples.  The kernel
    rounds the times of long timers to 8 and to 64 ticks of 10 ms, and 16 s hold a whole number of
    these.  The event loop's own timers will not do: they are late by up to a millisecond.
    """
    if os.environ.get("TESTBED_MACHINE", "").endswith("+virtual-time"):
        wait = moments.until_settled if role == "client" else moments.until
        await wait(moments.next_multiple(GRID_NS))


async def _meet() -> None:
    _say(Meeting())
    loop = asyncio.get_running_loop()
    met = asyncio.Event()
    loop.add_reader(sys.stdin, met.set)
    await met.wait()
    loop.remove_reader(sys.stdin)
    os.read(sys.stdin.fileno(), 1)


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
