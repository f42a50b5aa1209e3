"""The cost of a simulation: a packet of the network alone, a minute of MPTCP, the start of a run.

Run it with ``python bench/simulation.py``.  For the network alone a host sends full-sized segments
at the link's rate, another one takes them, and neither does more.  The rest are runs as
``testbed run --sim`` makes them, over two paths of 20 and 30 Mbit/s.  ``--json`` prints one JSON
document.  ``TESTBED_COMPILED`` says whether the compiled modules run (docs/performance.md).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from _figures import Figure, tell

import testbed
from testbed import compiled
from testbed.packet.address import Address
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import ACK, Segment
from testbed.prediction import address_of
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.topology.load import loads_topology
from testbed.topology.model import Family, Node
from testbed.topology.resolve import resolve

PACKETS: Final = 100_000
INTERVAL_NS: Final = 12_000  # 1500 octets at 1 Gbit/s
WIRES: Final = {
    "rate and delay": "rate: 1gbit, delay: 10ms",
    "and loss and jitter": "rate: 1gbit, delay: 10ms 1ms, loss: 1%",
}
EXPERIMENT: Final = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
SECONDS: Final = (1, 6)  # the result is the difference of both durations
RUNS: Final = 20
MINUTE_GOALS: Final = {compiled.COMPILED: 8.0, compiled.INTERPRETED: 20.0}  # CPU seconds
START_GOAL_MS: Final = 5.0
TOPOLOGY: Final = """
nodes: {{client: {{}}, server: {{}}}}
links:
  path: {{between: [client, server], netem: {{{netem}, limit: 10000}}}}
"""


class Stub:
    """An endpoint without connections: sends the same segment again and again, takes any."""

    def __init__(self) -> None:
        self.segment: Segment | None = None
        self.left = self.taken = self._due = 0

    def receive(self, _segment: Segment, _now: int) -> None:
        """Count the segment."""
        self.taken += 1

    def receive_icmp(self, error: IcmpError, _now: int) -> None:
        """Raise: no packet should lead to this call."""
        raise AssertionError(error)

    def handle_timer(self, now: int) -> None:
        """Make the next segment due."""

    def next_timer(self) -> int | None:
        """Return when the next segment is due."""
        return self._due if self.left else None

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return the segment if it is due."""
        if self.segment is None or not self.left or now < self._due:
            return ()
        self.left -= 1
        self._due = now + INTERVAL_NS
        return (self.segment,)

    def next_event(self) -> None:
        """Report no events."""


def microseconds(netem: str) -> float:
    """Return the CPU time of one packet over a wire."""
    topology = resolve(loads_topology(TOPOLOGY.format(netem=netem)))
    stubs: dict[str, Stub] = {}

    def endpoint(node: Node, _random: random.Random, _local: LocalNetwork) -> Any:
        return stubs.setdefault(node.name, Stub())

    loop = VirtualLoop()
    network = Network(topology, endpoint, loop=loop)
    source, target = (
        Address(address_of(topology, node, Family.IPV4), 80) for node in ("client", "server")
    )
    sender = stubs["client"]
    sender.segment = Segment(
        source=source, destination=target, seq=0, flags=ACK, payload=bytes(1448)
    )
    sender.left = PACKETS
    network.hosts["client"].wake()
    started = time.process_time()
    loop.advance(PACKETS * INTERVAL_NS / 1e9 + 1)
    seconds = time.process_time() - started
    loop.close()
    if stubs["server"].taken < PACKETS * 0.98:
        raise AssertionError(f"only {stubs['server'].taken} packets have arrived")
    return seconds * 1e6 / PACKETS


def run(workload: dict[str, Any], repetitions: int = 1, stack: str = "userspace") -> float:
    """Return the CPU time of simulated runs over two paths, in seconds."""
    whole = {"from": "client", "to": "server", "kind": "bulk", **workload}
    experiment = testbed.load(
        EXPERIMENT,
        machine=testbed.SIMULATION,
        stacks=[stack],
        repetitions=repetitions,
        values={"workload": whole, "expect": []},
    )
    with tempfile.TemporaryDirectory() as results:
        began = time.process_time()
        found = testbed.run(experiment, results)
        took = time.process_time() - began
        bad = [each.reason for each in found.runs if each.status != "ok"]
    if bad:
        raise AssertionError(bad[0])
    return took


def minute() -> float:
    """Return the CPU seconds of a simulated minute of transfer."""
    short, long = (run({"duration": f"{seconds}s"}) for seconds in SECONDS)
    return (long - short) * 60 / (SECONDS[1] - SECONDS[0])


def start_ms() -> float:
    """Return the CPU time of a run with very few packets, one of many, in milliseconds."""
    tiny, stack = {"size": "1KB"}, "userspace-tcp"  # MPTCP would need time for a second subflow
    return (run(tiny, RUNS + 1, stack) - run(tiny, 1, stack)) * 1e3 / RUNS


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    build = compiled.status().build
    figures = [
        *(
            Figure(what=f"a packet of the simulated network: {name}", value=microseconds(netem),
                   unit="us", better="lower", build=build)
            for name, netem in WIRES.items()
        ),
        Figure(what="a simulated minute of 20 + 30 Mbit/s: CPU", value=minute(), unit="s",
               better="lower", goal=MINUTE_GOALS[build], build=build),
        Figure(what="start and end of a simulated run: CPU", value=start_ms(), unit="ms",
               better="lower", goal=START_GOAL_MS, build=build),
    ]  # fmt: skip
    tell(figures, as_json=arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
