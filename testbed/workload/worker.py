"""One end of a flow as a process in a node: ``python -m testbed.workload.worker``.

The worker reads one :class:`~testbed.workload.messages.Task` and then orders, and writes messages
meanwhile. On SIGTERM it reports what it was waiting for, and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from testbed import moments
from testbed.document import open_hook
from testbed.errors import TestbedError
from testbed.failure import Failure
from testbed.workload.half import CLIENT, Half
from testbed.workload.messages import (
    AnyMessage,
    AnyOrder,
    Begin,
    Done,
    Failed,
    Finish,
    Meeting,
    Ready,
    Task,
)
from testbed.workload.stacks.model import Look, Stack
from testbed.workload.stacks.registry import stack

PROGRESS_S: Final = 0.2
LOOK_NS: Final = 100_000_000
_READ: Final = 64 * 1024
_messages: Final = sys.stdout.buffer


def main() -> None:
    """Read the task, run it, and report the outcome."""
    sys.stdout = sys.stderr  # the output of plugins must not mix with messages
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task, dec_hook=open_hook)
    began = time.process_time()
    try:
        done = asyncio.run(_work(task))
    except TestbedError as error:
        _say(Failed(failure=Failure.of(error)))
    else:
        _say(msgspec.structs.replace(done, cpu_s=time.process_time() - began))


async def _work(task: Task) -> Done:
    transport = stack(task.stack.name, task.stack.decoded)
    await transport.prepare()
    orders = _Orders()
    half = Half(
        task.role,
        task.sessions,
        transport,
        (task.address, task.port),
        task.limit_ns,
        on_ready=lambda: _say(Ready()),
        on_start=lambda: _tell(half),
        meet=orders.meet,
    )
    orders.read(half.finish)
    if task.role == CLIENT:
        _say(Ready())
    work = asyncio.ensure_future(half.run(lambda: _zero(orders, task.role)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    looks: list[Look] = []
    beside = [asyncio.ensure_future(_keep_telling(half))]
    if not task.stack.kind.in_kernel:
        beside.append(asyncio.ensure_future(_look(transport, looks)))
    try:
        reports = await work
        await transport.finish()
        counters = dict(transport.counters())
        return Done(reports=reports, looks=tuple(looks), counters=counters, cpu_s=0)
    finally:
        for other in beside:
            other.cancel()


async def _zero(orders: _Orders, role: str) -> int:
    """Return the start of the run.

    In a machine with virtual time the client waits until the clock is in a state that does not
    depend on earlier work, because imports shift the clock by microseconds.
    """
    zero_ns = await orders.zero
    if role == CLIENT and os.environ.get("TESTBED_MACHINE", "").endswith("+virtual-time"):
        await moments.until_settled(zero_ns)
    return zero_ns


class _Orders:
    """Reads orders from standard input while the half runs."""

    def __init__(self) -> None:
        self.zero: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._met: dict[int, asyncio.Event] = {}
        self._rest = b""

    def read(self, finish: Callable[[], None]) -> None:
        """Start to read orders.

        :param finish: called when the half should end a flow without an end of its own.
        """
        asyncio.get_running_loop().add_reader(sys.stdin, self._read, finish)

    async def meet(self, session: int) -> None:
        """Report that a session waits, and wait for its other half."""
        met = self._met[session] = asyncio.Event()
        _say(Meeting(session=session))
        await met.wait()

    def _read(self, finish: Callable[[], None]) -> None:
        data = os.read(sys.stdin.fileno(), _READ)
        if not data:
            asyncio.get_running_loop().remove_reader(sys.stdin)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            order: AnyOrder = msgspec.json.decode(line, type=AnyOrder)
            if isinstance(order, Begin):
                self.zero.set_result(order.zero_ns)
            elif isinstance(order, Finish):
                finish()
            else:
                self._met.pop(order.session).set()


async def _look(transport: Stack, looks: list[Look]) -> None:
    """Look at the connections at the times at which probes look at those of the kernel."""
    while True:
        await moments.until(moments.next_multiple(LOOK_NS))
        looks += transport.connections()


async def _keep_telling(half: Half) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        _tell(half)


def _tell(half: Half) -> None:
    doing = half.doing
    if doing is not None:
        _say(doing)


def _say(message: AnyMessage) -> None:
    _messages.write(msgspec.json.encode(message) + b"\n")
    _messages.flush()


if __name__ == "__main__":
    main()
