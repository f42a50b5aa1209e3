"""The commands that a topology has its nodes run once they are built (``run:`` of a node)."""

from __future__ import annotations

import os
import signal

import msgspec

from testbed.errors import SandboxError
from testbed.sandbox.client import Sandbox
from testbed.topology.model import Topology

LIMIT_S = 60.0  # for each command
_LOG_LIMIT = 1024 * 1024  # octets of output kept of each command


class Output(msgspec.Struct, frozen=True):
    """The output of a node's commands, each after its own line ``$ COMMAND``."""

    node: str
    text: bytes


async def set_up(sandbox: Sandbox, topology: Topology, outputs: list[Output]) -> None:
    """Run the commands of all nodes, one after the other in the order of the file.

    :param outputs: gets what they print, that of one that fails too.
    :raises SandboxError: one failed, or did not end.
    """
    for node in topology.nodes:
        text = b""
        for argv in node.run:
            status, printed = await _run(sandbox, node.name, argv)
            text += f"$ {' '.join(argv)}\n".encode() + printed
            if status != 0:
                outputs.append(Output(node.name, text))
                raise SandboxError(f"node {node.name}: run: {_failure(argv, status, printed)}")
        if node.run:
            outputs.append(Output(node.name, text))


def _failure(argv: tuple[str, ...], status: int | None, printed: bytes) -> str:
    """Say how a command failed, with the last line it printed."""
    lines = printed.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    ended = f"ended with status {status}" if status is not None else "did not end"
    return f"{' '.join(argv)}: {ended}" + (f": {last}" if last else "")


async def _run(sandbox: Sandbox, node: str, argv: tuple[str, ...]) -> tuple[int | None, bytes]:
    """Run a command; return its status, None if it did not end, and what it printed."""
    memory = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        process = await sandbox.spawn(node, argv, stdout=memory, stderr=memory)
        try:
            status: int | None = (await process.wait(LIMIT_S)).returncode
        except TimeoutError:
            await process.kill(signal.SIGKILL)
            status = None
        return status, os.pread(memory, _LOG_LIMIT, 0)
    finally:
        os.close(memory)
