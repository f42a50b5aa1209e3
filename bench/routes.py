"""The time to compute routes of large random networks: ``python bench/routes.py [--write]``.

CPU time of resolving a topology: names, addresses, routes and endpoints.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from random import Random

import _region

from testbed.topology.load import loads_topology
from testbed.topology.resolve import resolve

PAGE = Path(__file__).parent.parent / "docs/topologies.md"
LIMIT_S = 2.0
CASES = ((990, 10, "hosts"), (900, 100, "hosts"), (300, 20, "all"))


def network(routers: int, hosts: int, routing: str) -> str:
    """Return a random connected network with 1.25 links for each router."""
    random = Random(1)
    edges = {(random.randrange(max(0, index - 20), index), index) for index in range(1, routers)}
    while len(edges) < routers + routers // 4:
        a, b = sorted(random.sample(range(routers), 2))
        edges.add((a, b))
    names = [(f"r{a}", f"r{b}") for a, b in sorted(edges)]
    names += [(f"h{index}", f"r{random.randrange(routers)}") for index in range(hosts)]
    lines = [f"routing: {routing}", "nodes:"]
    lines += [f"  r{index}: {{kind: router}}" for index in range(routers)]
    lines += [f"  h{index}: {{}}" for index in range(hosts)]
    lines += ["links:"]
    lines += [f"  l{index}: {{between: [{a}, {b}]}}" for index, (a, b) in enumerate(names)]
    return "\n".join(lines)


def measured(routers: int, hosts: int, routing: str) -> tuple[int, float]:
    """Return the number of routes, and the median CPU time of three times, in seconds."""
    written = loads_topology(network(routers, hosts, routing))
    taken = []
    for _ in range(3):
        began = time.process_time()
        topology = resolve(written)
        taken.append(time.process_time() - began)
    return sum(len(node.routes) for node in topology.nodes), statistics.median(taken)


def main() -> None:
    """Measure, print, and perhaps write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write the table to docs")
    arguments = parser.parse_args()
    lines = ["", "| routers | hosts | `routing` | routes | CPU time | at most |",
             "| ---: | ---: | --- | ---: | ---: | ---: |"]  # fmt: skip
    slow = False
    for routers, hosts, routing in CASES:
        routes, seconds = measured(routers, hosts, routing)
        slow = slow or seconds > LIMIT_S
        row = f"| {routers} | {hosts} | {routing} | {routes:,} | {seconds:.2f} s | {LIMIT_S:g} s |"
        lines.append(row)
    table = "\n".join((*lines, "", ""))
    print(table)
    if arguments.write:
        _region.replace(PAGE, "routes", table)
    if slow:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
