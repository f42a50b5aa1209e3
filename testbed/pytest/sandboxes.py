"""A sandbox for tests without coroutines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from testbed.errors import WorkloadError
from testbed.sandbox import Observation, Process, Sandbox
from testbed.topology.model import Topology
from testbed.topology.operations import Plan

T = TypeVar("T")


class Program:
    """A program in a node, started by :meth:`RunningSandbox.spawn`."""

    def __init__(
        self, sandbox: RunningSandbox, process: Process, outputs: tuple[IO[bytes], IO[bytes]]
    ) -> None:
        self._sandbox = sandbox
        self._process = process
        self._outputs = outputs

    @property
    def stdout(self) -> str:
        """Its standard output so far."""
        return _text(self._outputs[0])

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        return _text(self._outputs[1])

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the end and return the exit status, negative for the number of a signal.

        :param timeout: the time limit in seconds.
        :raises WorkloadError: the program ran longer, and has been killed.
        """
        __tracebackhide__ = True
        try:
            return self._sandbox.ask(self._process.wait(timeout)).returncode
        except TimeoutError:
            self.kill(signal.SIGKILL)
            raise WorkloadError(f"{self._process.name} ran for more than {timeout:g} s") from None

    def kill(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the program and its children, if it has not ended."""
        self._sandbox.ask(self._process.kill(number))


class RunningSandbox:
    """A context manager that builds a topology on entry and removes it on exit."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._files: list[IO[bytes]] = []
        self._sandbox: Sandbox | None = None
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    @property
    def topology(self) -> Topology:
        """The network: nodes, addresses, routes."""
        return self._plan.topology

    @property
    def name(self) -> str:
        """The name for ``testbed exec``, ``testbed status`` and ``testbed doctor``."""
        return self._running.name

    @property
    def holder_pid(self) -> int:
        """The process id of the sandbox's holder."""
        return self._running.holder_pid

    def exec(
        self, node: str, argv: Sequence[str], *, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a node to its end, and return its exit status and its output.

        :param check: whether an exit status other than 0 is an error.
        :param timeout: the time limit in seconds.
        :raises WorkloadError: the program failed, or ran longer and has been killed.
        :raises SandboxError: the node or the program does not exist.
        """
        __tracebackhide__ = True
        program = self.spawn(node, argv)
        code = program.wait(timeout)
        if check and code:
            said = program.stderr.strip() or program.stdout.strip()
            raise WorkloadError(f"{' '.join(argv)} on {node} ended with {code}: {said}")
        return subprocess.CompletedProcess(list(argv), code, program.stdout, program.stderr)

    def spawn(self, node: str, argv: Sequence[str]) -> Program:
        """Start a program in a node.  It ends with the sandbox.

        :raises SandboxError: the node or the program does not exist.
        """
        out, err = self._file(), self._file()
        starting = self._running.spawn(node, argv, stdout=out.fileno(), stderr=err.fileno())
        return Program(self, self.ask(starting), (out, err))

    def observe(self) -> Observation:
        """Read the state of all nodes from the kernel."""
        return self.ask(self._running.observe())

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the sandbox, and return its result."""
        return self._runner.run(question)

    def __enter__(self) -> Self:
        try:
            self._sandbox = self.ask(Sandbox.create())
            self.ask(self._sandbox.execute(self._plan))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            if self._sandbox is not None:
                self.ask(self._sandbox.close())
        finally:
            self._runner.close()
            for file in self._files:
                file.close()

    @property
    def _running(self) -> Sandbox:
        if self._sandbox is None:
            raise RuntimeError("the sandbox is not entered; use it in a with statement")
        return self._sandbox

    def _file(self) -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the sandbox
        self._files.append(file)
        return file


def _text(file: IO[bytes]) -> str:
    """Return the content of a file. The program shares the file offset, so it does not move."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")
