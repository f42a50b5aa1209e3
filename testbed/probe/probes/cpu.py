"""CPU time of every process in the nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from testbed.probe.probes import Probe
from testbed.records import CpuRecord


class Cpu(Probe):
    """Reads processes' CPU clocks. They are exact; /proc/PID/stat counts in ticks of 10 ms."""

    record = CpuRecord

    def sample(self) -> Iterator[CpuRecord]:
        """Read the clock of every process."""
        for process in self.nodes.processes:
            try:
                used_ns = time.clock_gettime_ns(_cpu_clock(process.pid))
            except OSError:  # the process has ended
                continue
            yield CpuRecord(
                t_ns=time.monotonic_ns(),
                node=process.node,
                pid=process.pid,
                process=process.name,
                cpu_ns=used_ns,
            )


def _cpu_clock(pid: int) -> int:
    """Return the ID of a process's CPU clock, as clock_getcpuclockid(3) does."""
    return (~pid << 3) | 2  # CPUCLOCK_SCHED: the scheduler's accounting, in nanoseconds
