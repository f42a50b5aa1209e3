"""Programs in the nodes of a sandbox, with their three streams as asyncio streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import Final, SupportsIndex

from testbed.sandbox import Exit, Process, Sandbox

_LOG_LIMIT: Final = 1024 * 1024  # octets of standard error kept per program: the first ones


class Program:
    """A program that was started; see :class:`testbed.workload.launcher.Running`."""

    def __init__(
        self,
        process: Process,
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """The standard input of the program, unless it is empty."""
        if self._stdin is None:
            raise ValueError("its standard input is /dev/null")
        return self._stdin

    async def wait(self) -> Exit:
        """Wait for the end of the program. Raises SandboxError if the sandbox ends first."""
        return await self._process.wait()

    async def kill(self, signal: int) -> None:
        """Send ``signal`` to its process group, unless the program has ended."""
        await self._process.kill(signal)


class Launcher:
    """Starts programs in a sandbox; leaving the context closes our ends of their pipes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._transports: list[asyncio.BaseTransport] = []
        self._logs: list[tuple[str, bytearray]] = []

    @property
    def logs(self) -> dict[str, bytes]:
        """The standard error of programs, by file name ``NODE-PROGRAM.NUMBER.log``."""
        found: dict[str, bytes] = {}
        for name, log in self._logs:
            if log:
                number = sum(other.startswith(f"{name}.") for other in found) + 1
                found[f"{name}.{number}.log"] = bytes(log)
        return found

    async def spawn(
        self,
        node: str,
        argv: Sequence[str],
        *,
        pass_fds: Mapping[int, int] | None = None,
        empty_input: bool = False,
    ) -> Program:
        """Start ``argv`` on ``node``.

        :param empty_input: whether its standard input is /dev/null.
        :param pass_fds: as in :meth:`testbed.sandbox.Sandbox.spawn`.
        :raises SandboxError: the program cannot be started.
        """
        stdout, stderr = os.pipe(), os.pipe()
        stdin = None if empty_input else os.pipe()
        ours = (stdout[0], stderr[0], *(stdin[1:] if stdin else ()))
        theirs = (stdout[1], stderr[1], *(stdin[:1] if stdin else ()))
        try:
            process = await self._sandbox.spawn(
                node,
                argv,
                stdin=stdin[0] if stdin else None,
                stdout=stdout[1],
                stderr=stderr[1],
                pass_fds=pass_fds,
            )
        except BaseException:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        log = _Log()
        self._logs.append((f"{node}-{PurePath(argv[0]).name}", log.kept))
        return Program(
            process,
            await self._writer(stdin[1]) if stdin else None,
            await self._reader(stdout[0], asyncio.StreamReader()),
            await self._reader(stderr[0], log),
        )

    async def _reader(self, fd: int, reader: asyncio.StreamReader) -> asyncio.StreamReader:
        protocol = asyncio.StreamReaderProtocol(reader)
        pipe = os.fdopen(fd, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        self._transports.append(transport)
        return reader

    async def _writer(self, fd: int) -> asyncio.StreamWriter:
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(fd, "wb", buffering=0)
        # StreamReaderProtocol is how asyncio.streams waits for drain(); nothing is ever read.
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, loop)

    async def __aenter__(self) -> Launcher:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for transport in self._transports:
            transport.close()


class _Log(asyncio.StreamReader):
    """Standard error, which is passed on to its reader and kept for the results."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = bytearray()

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        self.kept += bytes(data)[: _LOG_LIMIT - len(self.kept)]
        super().feed_data(data)
