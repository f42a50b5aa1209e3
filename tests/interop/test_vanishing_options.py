"""A box takes options off all but SYNs, one way: both ends become plain TCP (RFC 8684, 3.7)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Family
from testbed.topology.resolve import resolve

from .conftest import ANY, PORT, complaint, said

pytestmark = pytest.mark.sandbox

HERE = Path(__file__).parent
NETWORK = """
nodes: {client: {}, server: {}}
links:
  guarded:
    between: [client, server]
    netem: rate 20mbit delay 5ms
    middlebox: strip_options(where=data, toward=TOWARD)
"""


@pytest.mark.parametrize("toward", ["client", "server"])
def test_everything_arrives_on_plain_tcp(lab, toward):
    """If the path drops the kernel's options, ours still report it by an infinite mapping."""

    async def test(lab):
        common = (str(PORT), "nothing", "nothing")
        text = str(HERE / "text.py")
        server = await lab.start("server", text, "server", "mptcp", ANY[Family.IPV4], *common)
        assert await said(server) == "ready"
        client = await lab.start("client", text, "client", "userspace", lab.address, *common)
        seen = [json.loads(each) for each in await asyncio.gather(said(client), said(server))]
        assert all(each["whole"] for each in seen)
        for program in (client, server):
            assert (await program.wait()).returncode == 0, await complaint(program)

    topology = loads_topology(NETWORK.replace("TOWARD", toward))
    lab(resolve(topology, family=Family.IPV4), Family.IPV4, test)
