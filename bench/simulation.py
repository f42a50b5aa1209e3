"""What a packet costs the simulated network: from one host to the other, without their stacks.

Run it with ``python bench/simulation.py``: a host sends full-sized segments at the link's rate,
another one takes them, and neither does more.  ``--json`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from testbed.prediction import address_of
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.packet.address import Address
from testbed.stack.packet.icmp import IcmpError
from testbed.stack.packet.segment import ACK, Segment
from testbed.topology.load import loads_topology
from testbed.topology.model import Family, Node
from testbed.topology.resolve import resolve

PACKETS: Final = 100_000
INTERVAL_NS: Final = 12_000  # 1500 octets at 1 Gbit/s
WIRES: Final = {
    "rate and delay": "rate: 1gbit, delay: 10ms",
    "and loss and jitter": "rate: 1gbit, delay: 10ms 1ms, loss: 1%",
}
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
        """Count it."""
        self.taken += 1

    def receive_icmp(self, error: IcmpError, _now: int) -> None:
        """Refuse: no packet should lead to one."""
        raise AssertionError(error)

    def handle_timer(self, now: int) -> None:
        """Make the next segment due."""

    def next_timer(self) -> int | None:
        """Return when the next segment is due."""
        return self._due if self.left else None

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return the segment if it is time."""
        if self.segment is None or not self.left or now < self._due:
            return ()
        self.left -= 1
        self._due = now + INTERVAL_NS
        return (self.segment,)

    def next_event(self) -> None:
        """Tell of nothing."""


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


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    results = {name: microseconds(netem) for name, netem in WIRES.items()}
    if arguments.json:
        print(json.dumps({"us_per_packet": results}))
    else:
        for name, figure in results.items():
            print(f"{name}: {figure:.1f} us per packet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
