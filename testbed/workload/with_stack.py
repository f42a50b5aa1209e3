"""A program over our own stack: ``python -m testbed.workload.with_stack REQUEST -- PROGRAM``.

Workloads use this command to start programs. ``testbed with-stack`` calls :func:`run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn

import msgspec

from testbed import moments
from testbed.errors import InputError, TestbedError
from testbed.programs.run import run as run_over
from testbed.stack.connection import Connection, Endpoint
from testbed.workload.program_report import AnyLine, Begun, Closing, Counted, Ended, Looked
from testbed.workload.stacks import _userspace
from testbed.workload.stacks.registry import kind
from testbed.workload.stacks.request import Request

if TYPE_CHECKING:
    from testbed.host.driver import Host

LOOK_NS: Final = 100_000_000


def run(
    argv: Sequence[str],
    stack: str,
    options: msgspec.Struct,
    report: Path | None,
    environment: Mapping[str, str],
    on_ended: Callable[[Connection], object] = lambda _: None,
) -> int:
    """Run a program over a stack; return its exit status, or minus the number of its signal.

    :param stack: the name of our own stack; ``options`` is its options.
    :param report: the file to which the report on the connections is appended.
    :param on_ended: called with each connection after it has ended.
    :raises PlatformError: this machine does not support it.
    :raises InputError: the report cannot be written.
    """
    ours = kind(stack).make(options)
    assert isinstance(ours, _userspace.Userspace)  # noqa: S101 - the kernel's need no help
    with contextlib.ExitStack() as files:
        output = None
        if report is not None:
            output = files.enter_context(_opened(report))
        watcher = _Watcher(options, output, on_ended)
        try:
            return run_over(argv, ours.driver, watcher, environment)
        finally:
            watcher.count()


def _opened(report: Path) -> IO[bytes]:
    try:
        return report.open("ab", buffering=0)
    except OSError as error:
        raise InputError(f"{report} cannot be written: {error.strerror}") from error


class _Watcher:
    """Writes the report."""

    def __init__(
        self,
        options: msgspec.Struct,
        output: IO[bytes] | None,
        on_ended: Callable[[Connection], object],
    ) -> None:
        self._options = options
        self._output = output
        self._on_ended = on_ended
        self._endpoint: Endpoint | None = None
        self._device: str | None = None

    def begun(self, host: Host) -> None:
        """Record that the program starts now."""
        self._endpoint = host.endpoint
        self._device = host.device
        host.streams.on_ended = self._on_ended
        self._write(Begun(t_ns=time.monotonic_ns()))
        if self._output is not None:
            self._looking = asyncio.ensure_future(self._look(host))

    def ended(self) -> None:
        """Record that the program has ended."""
        self._write(Ended(t_ns=time.monotonic_ns()))

    def count(self) -> None:
        """Record the counters after the last connection has ended."""
        if self._endpoint is not None:
            self._write(Counted(t_ns=time.monotonic_ns(), values=self._endpoint.counters))

    def closing(self, connection: Connection) -> None:
        """Record that the program closes a connection, or that a connection has failed."""
        used = _userspace.used(connection, self._options, self._device)
        self._write(Closing(look=_userspace.look(connection), used=used))

    async def _look(self, host: Host) -> None:
        """Look at the connections at the times at which probes look at those of the kernel."""
        while True:
            await moments.until(moments.next_multiple(LOOK_NS))
            for connection in host.streams.connections:
                self._write(Looked(look=_userspace.look(connection)))

    def _write(self, line: AnyLine) -> None:
        if self._output is not None:
            self._output.write(msgspec.json.encode(line) + b"\n")


def end_like(status: int) -> NoReturn:
    """End this process as a program ended, with its exit status or by the same signal."""
    sys.stdout.flush()
    if status < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 128 - status)


def main() -> NoReturn:
    """Run the program that the command line names."""
    request = msgspec.json.decode(sys.argv[1], type=Request)
    options = kind(request.stack).options(**request.chosen)
    report = Path(request.report)
    try:
        status = run(sys.argv[3:], request.stack, options, report, os.environ)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    end_like(status)


if __name__ == "__main__":
    main()
