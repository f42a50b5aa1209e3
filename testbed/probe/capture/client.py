"""The client of a capture: starts and ends it in a node, and receives its result."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import msgspec

from testbed.errors import SandboxError
from testbed.probe.capture.job import (
    MESSAGES_FD,
    AnyMessage,
    Ended,
    Failed,
    Job,
    Listening,
    command,
)
from testbed.sandbox import Sandbox


async def capture(
    sandbox: Sandbox,
    node: str,
    job: Job,
    output: int,
    *,
    stop: asyncio.Event,
    on_listening: Callable[[tuple[str, ...]], object],
) -> Ended:
    """Capture in a node until a limit of the job is reached, or ``stop`` is set.

    :param output: the descriptor to write packets to.
    :param on_listening: called with the interfaces when the capture has started on all of them.
    :raises TestbedError: the node or an interface does not exist, or packets cannot be written.
    """
    control, controlling = os.pipe()
    said, saying = os.pipe()
    try:
        await sandbox.spawn(
            node,
            command(job),
            stdin=control,
            stdout=output,
            stderr=2,
            pass_fds={MESSAGES_FD: saying},
            name="capture",
        )
    except BaseException:
        os.close(controlling)
        os.close(said)
        raise
    finally:
        os.close(control)
        os.close(saying)
    ending = asyncio.create_task(_end(stop, controlling))
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(said, "rb", buffering=0)
    )
    try:
        async for line in reader:
            message: AnyMessage = msgspec.json.decode(line, type=AnyMessage)
            if isinstance(message, Listening):
                on_listening(message.interfaces)
            elif isinstance(message, Failed):
                raise message.failure.error()
            else:
                return message
    finally:
        transport.close()
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ending
    raise SandboxError("the capture ended without a message")


async def _end(stop: asyncio.Event, control: int) -> None:
    """Close the capture's standard input when ``stop`` is set."""
    try:
        await stop.wait()
    finally:
        os.close(control)
