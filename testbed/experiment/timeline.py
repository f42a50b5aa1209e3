"""Plays the time line of a run: each action at its time, with the times it really had."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from testbed.errors import TestbedError
from testbed.experiment.events import Action
from testbed.results.model import EventRecord
from testbed.sandbox import Process, Sandbox

_OUTPUT_LIMIT: Final = 1024 * 1024  # octets kept of what a program of an event writes


class Timeline:
    """The actions of one run; :meth:`play` may be cancelled, :meth:`finish` tells what was done.

    :param zero: the start of the workload (CLOCK_MONOTONIC, nanoseconds), once it is known.
    """

    def __init__(
        self, actions: Sequence[Action], zero: asyncio.Future[int], sandbox: Sandbox
    ) -> None:
        self._actions = actions
        self._zero = zero
        self._sandbox = sandbox
        self._done: list[EventRecord] = []
        self._programs: list[tuple[int, Process, int]] = []

    async def play(self) -> None:
        """Carry out every action at its time; one that fails does not keep the others from it."""
        for action in self._actions:
            due_ns = await asyncio.shield(self._zero) + action.at_ns
            await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            started_ns = time.monotonic_ns()
            error = None
            try:
                await self._carry_out(action)
            except TestbedError as failure:
                error = str(failure)
            self._done.append(
                EventRecord(
                    planned_ns=action.at_ns,
                    started_ns=started_ns - self._zero.result(),
                    finished_ns=time.monotonic_ns() - self._zero.result(),
                    action=action.text,
                    error=error,
                )
            )

    async def finish(self) -> tuple[EventRecord, ...]:
        """Return what was done; a program that has failed by now is an error of its action."""
        records = list(self._done)
        for index, process, output in self._programs:
            with contextlib.suppress(TimeoutError):  # it still runs, and ends with the sandbox
                ended = await process.wait(timeout=0)
                if ended.returncode != 0:
                    said = _read(output).decode(errors="replace").strip().splitlines()
                    error = ": ".join([f"exit status {ended.returncode}", *said[-1:]])
                    records[index] = msgspec.structs.replace(records[index], error=error)
        return tuple(records)

    @property
    def unplayed(self) -> Sequence[Action]:
        """The actions whose time has not come."""
        return self._actions[len(self._done) :]

    @property
    def logs(self) -> dict[str, bytes]:
        """What the programs wrote."""
        outputs = {f"event-{index + 1}.log": _read(output) for index, _, output in self._programs}
        return {name: text for name, text in outputs.items() if text}

    def close(self) -> None:
        """Let go of the programs' output."""
        for _, _, output in self._programs:
            os.close(output)

    async def _carry_out(self, action: Action) -> None:
        if action.node is None:
            await self._sandbox.execute(action.operations)
            return
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        process = await self._sandbox.spawn(action.node, action.argv, stdout=output, stderr=output)
        self._programs.append((len(self._done), process, output))


def _read(output: int) -> bytes:
    return os.pread(output, _OUTPUT_LIMIT, 0)
