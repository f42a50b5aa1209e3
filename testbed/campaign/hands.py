"""Processes of this host that carry out jobs directly or in a guest."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final, Protocol

import msgspec

from testbed.campaign.jobs import Bench
from testbed.campaign.messages import AnyMessage, Errand, Failed, Messages, Order, Over, say
from testbed.errors import MachineError, TestbedError
from testbed.failure import Failure
from testbed.machine import Machine, Program
from testbed.results.environment import Software

_AHEAD: Final = 4  # jobs that a simulator holds: one in progress, and others that wait
_CHUNK: Final = 1 << 18
_GRACE_S: Final = 5.0
_CTRL_C: Final = (signal.SIGINT,)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Hand(Protocol):
    """A process that carries out jobs, or the place for one."""

    @property
    def room(self) -> int:
        """How many more jobs it can take now."""

    @property
    def busy(self) -> bool:
        """Whether it has jobs to do or messages to send."""

    def give(self, orders: Sequence[Order]) -> None:
        """Give it jobs."""

    @property
    def says(self) -> Connection | None:
        """The connection to wait on for messages, or ``None`` if it is idle."""

    def hear(self) -> Iterator[AnyMessage | bytes]:
        """Yield its messages; octets are console output of its machine."""

    def end(self) -> None:
        """Make its process end, even in the middle of a job; :meth:`join` waits for the end."""

    def join(self) -> bytes:
        """Wait until it has ended; return the rest of its machine's console output."""


class Process:
    """One process and its messages.

    :param work: a function of a module, and its arguments.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self.says, theirs = _context.Pipe(duplex=False)
        self._messages = Messages()
        self._process: BaseProcess = _context.Process(
            target=_carry_out, args=(work, theirs, *arguments), daemon=True
        )
        with _no_main(), _deaf():
            self._process.start()
        theirs.close()

    def hear(self) -> Iterator[AnyMessage]:
        """Read once from the process, and yield the messages that are complete.

        :raises EOFError: the process has closed its end.
        """
        octets = os.read(self.says.fileno(), _CHUNK)
        if not octets:
            raise EOFError
        yield from self._messages.feed(octets)

    def end(self) -> None:
        """Let it clean up and end."""
        self._process.terminate()

    def join(self) -> None:
        """Wait up to 5 seconds until it has ended."""
        try:
            self._process.join(_GRACE_S)
        finally:
            self._process.kill()
            self._process.join()
            self.says.close()


class Simulator:
    """A process that simulates one run after the other."""

    def __init__(self) -> None:
        orders, self._orders = _context.Pipe(duplex=False)
        self._process = Process(_simulate, orders)
        orders.close()
        self._given = 0

    @property
    def room(self) -> int:
        """How many more jobs it can take: it gets the next job before the last one is done."""
        return _AHEAD - self._given

    @property
    def busy(self) -> bool:
        """Whether it has unfinished jobs."""
        return self._given > 0

    def give(self, orders: Sequence[Order]) -> None:
        """Send it jobs, which it does in order."""
        for order in orders:
            self._orders.send_bytes(msgspec.msgpack.encode(order))
            self._given += 1

    @property
    def says(self) -> Connection | None:
        """The connection to the process, while it lives."""
        return self._process.says

    def hear(self) -> Iterator[AnyMessage | bytes]:
        """Yield its messages."""
        try:
            for message in self._process.hear():
                self._given -= isinstance(message, Over)
                yield message
        except EOFError:
            raise TestbedError("a process that carried out runs has died") from None

    def end(self) -> None:
        """End it. It needs no cleanup."""
        self._process.end()

    def join(self) -> bytes:
        """Wait until it is gone."""
        self._orders.close()
        self._process.join()
        return b""


class Guest:
    """A machine that is started for each job, or once for all of them.

    With a virtual clock it is started for each job. Then a result does not depend on the jobs of
    other machines, or on earlier jobs.

    :param alone: whether it is started for each job.
    :param processor: the number of the processor to run on, modulo the number of processors.
    """

    def __init__(
        self,
        machine: Machine,
        software: Software,
        plugins: Mapping[str, str],
        *,
        alone: bool,
        processor: int,
    ) -> None:
        self._machine = machine
        self._software = software
        self._plugins = dict(plugins)
        self._alone = alone
        self._processor = processor if alone else None
        self._process: Process | None = None
        self._errand = Path()
        self._console = Path()
        self._held: list[Over | Failed] = []
        self._missing = 0

    @property
    def room(self) -> int:
        """No jobs while it works."""
        if self._process is not None:
            return 0
        return 1 if self._alone else sys.maxsize

    @property
    def busy(self) -> bool:
        """Whether the machine lives."""
        return self._process is not None

    def give(self, orders: Sequence[Order]) -> None:
        """Start the machine."""
        first = orders[0]
        errand = Errand(
            definition=first.job.definition,
            runs=tuple((order.job.run, order.directory) for order in orders),
            telling=not self._alone,
            software=self._software,
            plugins=self._plugins,
        )
        self._errand = Path(f"{first.directory}.errand")
        self._errand.write_bytes(msgspec.json.encode(errand))
        self._console = Path(f"{first.directory}.console")
        self._console.unlink(missing_ok=True)
        program = Program(
            argv=(sys.executable, "-m", "testbed.campaign.inside", str(self._errand)),
            directory=Path.cwd(),
            environment=dict(os.environ),
            writable=(self._errand.parent,),
            seed=first.job.run.seed if self._alone else 0,
        )
        self._missing = len(orders)
        self._process = Process(_execute, self._machine, program, self._console, self._processor)

    @property
    def says(self) -> Connection | None:
        """The messages of the machine."""
        return None if self._process is None else self._process.says

    def hear(self) -> Iterator[AnyMessage | bytes]:
        """Yield the messages from inside the machine.

        The result of a run with its own machine, and a failure, follow after the machine has ended
        and its console output.
        """
        process = self._process
        if process is None:
            return
        try:
            for message in process.hear():
                self._missing -= isinstance(message, Over)
                if isinstance(message, Failed) or (self._alone and isinstance(message, Over)):
                    self._held.append(message)
                else:
                    yield message
        except EOFError:
            process.join()
            self._process = None
            self._errand.unlink(missing_ok=True)
            yield self._said()
            held, self._held = self._held, []
            yield from held
            if self._missing:
                raise MachineError(
                    f"the process that started {self._machine.name} has died"
                ) from None

    def _said(self) -> bytes:
        said = self._console.read_bytes() if self._console.exists() else b""
        self._console.unlink(missing_ok=True)
        return said

    def end(self) -> None:
        """End the machine."""
        if self._process is not None:
            self._process.end()

    def join(self) -> bytes:
        """Wait until it has ended. The console output of an unfinished single run is discarded."""
        if self._process is None:
            return b""
        self._process.join()
        return b"" if self._alone else self._said()


def _carry_out(work: Callable[..., None], says: Connection, *arguments: Any) -> None:
    """Do the work in a new process, which does not outlive its parent."""
    os.setsid()  # Ctrl-C is for the parent process
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    try:
        work(says, *arguments)
    except TestbedError as error:
        say(says.fileno(), Failed(failure=Failure.of(error)))


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _simulate(says: Connection, orders: Connection) -> None:
    bench = Bench()
    while True:
        try:
            order = msgspec.msgpack.decode(orders.recv_bytes(), type=Order)
        except EOFError:
            return
        record = bench.carry_out(order.job, Path(order.directory), lambda _: None)
        say(says.fileno(), Over(record=record))


def _execute(
    says: Connection, machine: Machine, program: Program, console: Path, processor: int | None
) -> None:
    signal.signal(signal.SIGTERM, _leave)
    if processor is not None:
        there = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {there[processor % len(there)]})
    program = msgspec.structs.replace(program, output=says.fileno())
    status = machine.execute(program, console=console)
    if status:
        raise MachineError(f"the runs in the machine {machine.name} ended with status {status}")


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Block Ctrl-C for processes that start here, until they are in their own session."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Stop new processes from importing the main module, which multiprocessing does by default.

    The import would run a script again that has no ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
