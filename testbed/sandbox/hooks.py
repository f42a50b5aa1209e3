"""The commands that the nodes run after the network is built (``run:`` of a node)."""

from __future__ import annotations

import os
import signal

import msgspec

from testbed.errors import SandboxError
from testbed.sandbox.client import Sandbox
from testbed.topology.model import Topology

LIMIT_S = 60.0  # per command
_LOG_LIMIT = 1024 * 1024  # octets of output kept per command


class Output(msgspec.Struct, frozen=True):
    """The output of a node's commands, each after a line ``$ COMMAND``."""

    node: str
    text: bytes


async def set_up(sandbox: Sandbox, topology: Topology, outputs: list[Output]) -> None:
    """Run the commands of all nodes one after the other, in the order of the file.

    :param outputs: receives the output of the commands, including that of a failed one.
    :raises SandboxError: a command failed or did not end.
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
    """Return in words how a command failed, with the last line of its output."""
    lines = printed.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    ended = f"ended with status {status}" if status is not None else "did not end"
    return f"{' '.join(argv)}: {ended}" + (f": {last}" if last else "")


async def _run(sandbox: Sandbox, node: str, argv: tuple[str, ...]) -> tuple[int | None, bytes]:
    """Run a command; return its status, or None if it did not end, and its output."""
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
