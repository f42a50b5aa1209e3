"""Starting programs at both ends: one over our stack, the other on the kernel's MPTCP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from testbed.experiment.launcher import Program
from testbed.workload import program_report
from testbed.workload.stacks.request import Request

ON_MPTCP = ("mptcpize", "run")
NODES = ("client", "server")
_FALLBACKS = ("Fallback", "InfiniteMap", "DSSNoMatchTCP")


def missing(*programs: str) -> str | None:
    """Return why something cannot be tried here: a program, or ``python: MODULE``, is absent."""
    absent = [program for program in programs if not _is_there(program)]
    return f"there is no {', '.join(absent)}" if absent else None


def _is_there(program: str) -> bool:
    kind, _, module = program.rpartition(": ")
    return (importlib.util.find_spec(module) if kind else shutil.which(program)) is not None


class Ends:
    """A client and a server, of which one is over our stack.

    :param ours: the node, ``client`` or ``server``; the other is the kernel's.
    :param folder: for files of programs.
    """

    def __init__(self, lab: Any, ours: str, folder: Path) -> None:
        self.lab = lab
        self.ours = ours
        self.folder = folder
        self._reports: list[Path] = []

    @property
    def address(self) -> str:
        """The server's."""
        return str(self.lab.address)

    def command(self, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that runs a program on the stack of its node."""
        if node != self.ours:
            return (*ON_MPTCP, *argv)
        report = self.folder / f"report{len(self._reports)}"
        self._reports.append(report)
        return Request(stack="userspace", report=str(report)).command(argv)

    async def run(self, *argv: str, node: str = "client", on_stack: bool = True) -> bytes:
        """Run a program to its end and return its output; it must succeed."""
        command = self.command(node, argv) if on_stack else argv
        program = await self.lab.launcher.spawn(node, command, empty_input=True)
        errors = asyncio.ensure_future(program.stderr.read(-1))
        output = bytes(await program.stdout.read(-1))
        code = (await program.wait()).returncode
        assert code == 0, f"{argv[0]}: {code}: {(await errors).decode()[-2000:]}"
        return output

    @contextlib.asynccontextmanager
    async def serving(self, *argv: str, port: int) -> AsyncIterator[Program]:
        """Have a program serve on the server for a while."""
        program = await self.lab.launcher.spawn(
            "server", self.command("server", argv), empty_input=True
        )
        errors = asyncio.ensure_future(program.stderr.read(-1))
        output = asyncio.ensure_future(program.stdout.read(-1))
        try:
            listening = (sys.executable, "-m", "testbed.workload.listening", str(port))
            waiting = await self.lab.launcher.spawn("server", listening)
            ends = asyncio.ensure_future(program.wait())
            ready = asyncio.ensure_future(waiting.wait())
            await asyncio.wait((ends, ready), return_when=asyncio.FIRST_COMPLETED)
            assert not ends.done(), f"{argv[0]} ended: {(await errors).decode()[-2000:]}"
            await ready
            yield program
        finally:
            await program.kill(signal.SIGTERM)
            try:
                async with asyncio.timeout(10):
                    await program.wait()
            except TimeoutError:
                await program.kill(signal.SIGKILL)
                await program.wait()
                raise
            finally:
                for reading in (errors, output):
                    reading.cancel()

    async def prove(self, paths: int) -> None:
        """Check who carried what: our end's kernel nothing, the other end's MPTCP all.

        :param paths: how many subflows some connection has had, at least.
        """
        here = await self.lab.counters(self.ours)
        for name, value in here.items():
            assert not name.startswith("MPTcpExt"), f"{self.ours}: {name} {value}"
            assert name not in ("TcpActiveOpens", "TcpPassiveOpens"), f"{self.ours}: {name} {value}"
        (other,) = (node for node in NODES if node != self.ours)
        there = await self.lab.counters(other)
        opened = "MPCapableSYNACKRX" if other == "client" else "MPCapableACKRX"
        assert there.get(f"MPTcpExt{opened}"), there
        assert not [name for name in there if any(word in name for word in _FALLBACKS)], there
        reports = [program_report.read(path) for path in self._reports]
        seen = [end.look.view for report in reports for end in report.ends]
        assert seen
        assert not any(view.tcp_info or view.mptcp_info.fallback for view in seen)
        looks = [look.view for report in reports for look in report.looks]
        most = max(view.subflows for view in (*seen, *looks))
        assert most >= paths, f"{most} subflows, {paths} paths"
