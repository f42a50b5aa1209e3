"""Equal-cost routes in the kernel: connections spread over all ways."""

from __future__ import annotations

import asyncio
import sys

import pytest

from testbed.sandbox import Sandbox
from testbed.sysctls import path
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.present import SetLinkState
from testbed.topology.resolve import resolve

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(
        not path("net.ipv4.fib_multipath_hash_seed").exists(), reason="needs Linux 6.11"
    ),
]

TOPOLOGY = resolve(loads_topology("multipath: true\ngenerate: {fat_tree: {ports: 4}}"))
CORE = ("a1x1-c1", "a1x1-c2", "a1x2-c3", "a1x2-c4")
CONNECT = """
import socket, sys
refused = 0
for family, address in ((socket.AF_INET, "10.0.48.1"), (socket.AF_INET6, "fd00:0:0:30::1")):
    for port in range(1000, 1032):
        with socket.socket(family) as sock:
            sock.settimeout(5)
            refused += sock.connect_ex((address, port)) == 111
sys.exit(refused != 64)
"""


def test_connections_spread_over_all_ways() -> None:
    async def connect(sandbox: Sandbox) -> None:
        process = await sandbox.spawn("h1", [sys.executable, "-c", CONNECT], stderr=2)
        assert (await process.wait(60)).returncode == 0

    async def crossed(sandbox: Sandbox) -> dict[str, int]:
        states = (await sandbox.observe(["a1x1", "a1x2"])).namespaces.values()
        return {it.name: it.tx_packets for state in states for it in state.links}

    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(TOPOLOGY))
            before = await crossed(sandbox)
            await connect(sandbox)
            after = await crossed(sandbox)
            # One of four links gets none of 64 with a probability below 1 in 10^7.
            assert min(after[link] - before[link] for link in CORE) >= 1, (before, after)
            routes = (await sandbox.observe(["a1x1"])).namespaces["a1x1"].routes
            await sandbox.change(SetLinkState(link="a1x1-c1", state="down"))
            await sandbox.change(SetLinkState(link="a1x1-c1", state="up"))
            assert set((await sandbox.observe(["a1x1"])).namespaces["a1x1"].routes) == set(routes)
            await connect(sandbox)

    asyncio.run(asyncio.wait_for(scenario(), 100))
