"""A probe that counts the TCP sockets of each node."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.probe.probes import Probe
from testbed.records import Record


class SockstatRecord(Record, frozen=True, kw_only=True, tag="sockstat"):
    """What ``/proc/net/sockstat`` says of a node; the tag is the name of the probe.

    :param in_use: TCP sockets that are open.
    :param time_wait: those that wait for late segments.
    """

    in_use: int
    time_wait: int


class Sockstat(Probe):
    """Runs in the sampler's process; what it returns is written to the series of the run."""

    record = SockstatRecord

    def sample(self) -> Iterator[SockstatRecord]:
        """Look at every node: ten times a second, and at the start and the end."""
        for node in self.nodes.names:
            with self.nodes.inside(node):
                text = Path("/proc/thread-self/net/sockstat").read_text()
            found = re.search(r"^TCP: inuse (\d+) orphan \d+ tw (\d+)", text, re.MULTILINE)
            if found:
                yield SockstatRecord(
                    t_ns=time.monotonic_ns(),
                    node=node,
                    in_use=int(found[1]),
                    time_wait=int(found[2]),
                )
