"""The kernel's SNMP and MIB counters of every node, as nstat(8) names them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from testbed import mib
from testbed.probe.nodes import Nodes
from testbed.probe.probes import Probe
from testbed.records import NstatRecord


class Nstat(Probe):
    """Keeps the files of each node's /proc/net open. They stay bound to its namespace."""

    record = NstatRecord

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        super().__init__(nodes, options)
        self._files: dict[str, list[int]] = {}
        self._first: dict[str, dict[str, int]] = {}
        self._last: dict[str, dict[str, int]] = {}

    def start(self) -> Iterator[NstatRecord]:
        """Record the counters of all nodes."""
        for node in self.nodes.names:
            with self.nodes.inside(node):
                self._files[node] = [
                    os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    for name in mib.FILES
                    if (path := Path("/proc/thread-self/net") / name).exists()
                ]
            values = self._read(node)
            self._first[node] = self._last[node] = values
            yield NstatRecord(t_ns=time.monotonic_ns(), node=node, span="absolute", values=values)

    def sample(self) -> Iterator[NstatRecord]:
        """Record the changes since the last sample."""
        for node in self.nodes.names:
            values = self._read(node)
            changed = _difference(values, self._last[node])
            self._last[node] = values
            if changed:
                yield NstatRecord(
                    t_ns=time.monotonic_ns(), node=node, span="sample", values=changed
                )

    def stop(self) -> Iterator[NstatRecord]:
        """Record the changes since the start."""
        for node, first in self._first.items():
            changed = _difference(self._last[node], first)
            yield NstatRecord(t_ns=time.monotonic_ns(), node=node, span="total", values=changed)
        for files in self._files.values():
            for fd in files:
                os.close(fd)

    def _read(self, node: str) -> dict[str, int]:
        values: dict[str, int] = {}
        for fd in self._files[node]:
            values |= mib.parse(_whole(fd))
        return values


def _difference(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {
        name: value - before.get(name, 0)
        for name, value in now.items()
        if value != before.get(name, 0)
    }


def _whole(fd: int) -> str:
    parts: list[bytes] = []
    offset = 0
    while part := os.pread(fd, 65536, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts).decode()
