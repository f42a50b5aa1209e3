"""The probes of one run: the sampler process in the sandbox, and the wires, polled from here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed import moments
from testbed.experiment.evidence import toward
from testbed.experiment.launcher import Launcher
from testbed.experiment.spec import PACKETS
from testbed.experiment.spec import WIRE as WIRES
from testbed.experiment.wire_changes import WireChanges
from testbed.probe.client import Sampler, command
from testbed.probe.job import Job
from testbed.probe.messages import Summary
from testbed.records import Record, WireRecord, read
from testbed.sandbox import Sandbox
from testbed.topology.model import Topology
from testbed.topology.operations import WIRE

INTERVAL_NS: Final = 100_000_000
_RECORDS_FD: Final = 3


class Sampling:
    """Running probes. After :meth:`stop` their records are available.

    The sampler writes its records to memory that it shares with this process. So a full disk cannot
    spoil a run, and nothing remains if a process is killed.
    """

    def __init__(self, sandbox: Sandbox, topology: Topology) -> None:
        self._sandbox = sandbox
        self._topology = topology
        self._memory = os.memfd_create("records", os.MFD_CLOEXEC)
        self._sampler: Sampler | None = None
        self._polling: asyncio.Task[None] | None = None
        self._wires: list[WireRecord] = []
        self._changes = WireChanges()
        self.summary: Summary | None = None

    async def start(self, launcher: Launcher, job: Job) -> None:
        """Start the probes of ``job``; return when all of them work.

        :raises PlatformError: a probe cannot work here.
        """
        if WIRES in job.probes:
            self._polling = asyncio.create_task(self._poll())
        others = tuple(name for name in job.probes if name not in (WIRES, PACKETS))
        if others:
            process = await launcher.spawn(
                WIRE, command(_RECORDS_FD), pass_fds={_RECORDS_FD: self._memory}
            )
            self._sampler = await Sampler.start(
                process, msgspec.structs.replace(job, probes=others)
            )

    async def stop(self) -> None:
        """Take the last samples.

        :raises TestbedError: some samples are missing.
        """
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
            if not self._polling.cancelled() and (error := self._polling.exception()):
                raise error
            await self._ask()
        if self._sampler is not None:
            self.summary = await self._sampler.stop()

    def records(self) -> Iterator[Record]:
        """Yield the records, in no order."""
        size = os.fstat(self._memory).st_size
        yield from read(os.pread(self._memory, size, 0))
        yield from self._wires

    def close(self) -> None:
        """Free the memory."""
        if self._polling is not None:
            self._polling.cancel()
        os.close(self._memory)

    async def _poll(self) -> None:
        """Poll at the sampler's times. A late answer skips the samples that it missed."""
        while True:
            await self._ask()
            await moments.until(moments.next_multiple(INTERVAL_NS))

    async def _ask(self) -> None:
        """Record the wires that have changed."""
        report = await self._sandbox.wires()
        now_ns = time.monotonic_ns()
        for wire in report.wires:
            record = self._changes.note(wire, toward(self._topology, wire), now_ns)
            if record is not None:
                self._wires.append(record)
