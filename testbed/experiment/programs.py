"""Actions of a time line in a sandbox, and the programs that they start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Final

import msgspec

from testbed.experiment.events import Action
from testbed.results.model import EventRecord
from testbed.sandbox import Process, Sandbox

_OUTPUT_LIMIT: Final = 1024 * 1024  # octets kept of the output of an event's program


class Programs:
    """Carries out actions. Programs run until they or the sandbox end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._started: dict[int, tuple[Process, int]] = {}

    async def carry_out(self, index: int, action: Action) -> None:
        """Carry out the action of an index.  Raises TestbedError."""
        if action.node is None:
            await self._sandbox.execute(action.operations, change=action.change)
            return
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            process = await self._sandbox.spawn(
                action.node, action.argv, stdout=output, stderr=output
            )
        except BaseException:
            os.close(output)
            raise
        self._started[index] = process, output

    async def judged(self, records: Iterable[EventRecord]) -> tuple[EventRecord, ...]:
        """Return the records. A program that has failed is an error of its action."""
        judged = list(records)
        for index, (process, output) in self._started.items():
            with contextlib.suppress(TimeoutError):  # the program may run until the sandbox ends
                ended = await process.wait(timeout=0)
                if ended.returncode != 0:
                    said = _read(output).decode(errors="replace").strip().splitlines()
                    error = ": ".join([f"exit status {ended.returncode}", *said[-1:]])
                    judged[index] = msgspec.structs.replace(judged[index], error=error)
        return tuple(judged)

    @property
    def logs(self) -> dict[str, bytes]:
        """The output of the programs."""
        outputs = {
            f"event-{index + 1}.log": _read(output) for index, (_, output) in self._started.items()
        }
        return {name: text for name, text in outputs.items() if text}

    def close(self) -> None:
        """Close the programs' output."""
        for _, output in self._started.values():
            os.close(output)


def _read(output: int) -> bytes:
    return os.pread(output, _OUTPUT_LIMIT, 0)
