"""Interfaces that lose their carrier for a second, with the kernel in the same place."""

from __future__ import annotations

import asyncio

import pytest

from testbed.topology import changes
from testbed.topology.model import Family

pytestmark = pytest.mark.sandbox

MIB = 2**20
RATE = "rate 20mbit delay 5ms"
PAIRS = [("userspace", "userspace"), ("userspace", "mptcp"), ("mptcp", "userspace"),
         ("mptcp", "mptcp")]  # fmt: skip


async def flap(sandbox, topology, link, after=0.0):
    """Take a link's carrier away for a second."""
    await asyncio.sleep(after)
    await sandbox.execute(changes.link_down(topology, link))
    await asyncio.sleep(1)
    await sandbox.execute(changes.link_up(topology, link))


@pytest.mark.parametrize("pair", [*PAIRS, ("userspace-tcp", "tcp")])
def test_an_only_path_may_lose_its_carrier(lab, pair):
    async def test(lab):
        client, server = await lab.transfer(
            *pair, 4 * MIB, during=lambda sandbox: flap(sandbox, lab.topology, "path0")
        )
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]

    lab([RATE], Family.IPV4, test)


@pytest.mark.parametrize("pair", PAIRS)
def test_two_paths_may_lose_their_carriers_one_after_the_other(lab, pair):
    async def test(lab):
        async def during(sandbox):
            await asyncio.gather(
                flap(sandbox, lab.topology, "path0"), flap(sandbox, lab.topology, "path1", 0.5)
            )

        client, server = await lab.transfer(*pair, 8 * MIB, subflows=2, during=during)
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]
        numbers = [flow["id"] for flow in client["view"]["mptcp_info"]["subflows"]]
        assert len(numbers) == 2

    lab([RATE, RATE], Family.IPV4, test)
