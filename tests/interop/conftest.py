"""A client and a server with as many paths as wanted, and both ends of a transfer on them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from testbed.experiment.launcher import Launcher
from testbed.prediction import address_of
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.model import Family, Topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

PEER = str(Path(__file__).with_name("peer.py"))
PORT = 5001
LIMIT_S = 60
ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}


def network(netems, family):
    """Return a topology with one link for each netem; ``""`` is a link without a wire."""
    lines = ["nodes: {client: {}, server: {}}", "links:"]
    for number, netem in enumerate(netems):
        wire = f", netem: {netem}" if netem else ""
        lines.append(f"  path{number}: {{between: [client, server]{wire}}}")
    return resolve(loads_topology("\n".join(lines)), family=family)


class Lab:
    """Two nodes and the paths between them."""

    def __init__(self, sandbox, launcher, topology, family):
        self.sandbox = sandbox
        self.launcher = launcher
        self.family = family
        self.topology = topology
        self.address = address_of(topology, "server", family)

    async def start(self, node, *argv):
        """Start a Python program in a node."""
        return await self.launcher.spawn(node, (sys.executable, *argv))

    async def transfer(self, client, server, octets, subflows=0, during=None, at_half=0):
        """Send octets both ways at once; return what client and server have seen.

        :param subflows: wait for so many at the end.
        :param at_half: wait for so many when half of it has arrived.
        :param during: called with the sandbox when half of it has arrived.
        """
        common = (str(PORT), str(octets), str(subflows), str(at_half))
        serving = await self.start("server", PEER, "server", server, ANY[self.family], *common)
        assert await said(serving) == "ready"
        dialling = await self.start("client", PEER, "client", client, self.address, *common)
        ends = (dialling, serving)
        for end in ends:
            assert await said(end) == "half"
        if during is not None:
            await during(self.sandbox)
        seen = [json.loads(await said(end)) for end in ends]
        for end in ends:
            end.stdin.write(b"\n")
        for end in ends:
            assert (await end.wait()).returncode == 0, await complaint(end)
        return seen

    async def counters(self, node):
        """Return the kernel's MIB counters of a node that are not 0."""
        found = (await self.sandbox.observe([node])).namespaces[node].counters
        return {name: value for name, value in found.items() if value}


async def said(program):
    """Return the next line of a program's output."""
    line = await program.stdout.readline()
    assert line, await complaint(program)
    return line.decode().strip()


async def complaint(program):
    """Return what a program that has ended wrote to its standard error."""
    return (await program.stderr.read(2**16)).decode()


def inside(paths, family, test):
    """Run a coroutine function with a :class:`Lab`.

    :param paths: a netem for each, or another network.
    """

    async def go():
        topology = paths if isinstance(paths, Topology) else network(paths, family)
        async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
            await sandbox.execute(plan(topology, engine="emulator", seed=1))
            async with asyncio.timeout(LIMIT_S):
                return await test(Lab(sandbox, launcher, topology, family))

    return asyncio.run(go())


@pytest.fixture
def lab():
    """``lab(netems, family, test)`` or, with another network, ``lab(topology, family, test)``."""
    return inside
