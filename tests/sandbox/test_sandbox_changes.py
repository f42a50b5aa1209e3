"""Changes of a built topology, carried out: what comes and goes can come again."""

from __future__ import annotations

import asyncio

import pytest

from testbed.sandbox import Sandbox
from testbed.sandbox.observation import NamespaceState
from testbed.topology import changes
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

pytestmark = pytest.mark.sandbox

TOPOLOGY = resolve(
    loads_topology("""
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server]}
  lte: {between: [client, server]}
""")
)


def test_interfaces_take_on_the_settings_that_the_plan_writes_before_them() -> None:
    topology = resolve(
        loads_topology("""
nodes:
  client: {sysctls: {net.ipv4.conf.default.rp_filter: 2}}
  server: {}
links:
  wifi: {between: [client, server]}
""")
    )

    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(topology))
            client = await client_of(sandbox)
            assert client.sysctls["net.ipv4.conf.wifi.rp_filter"] == "2"
            # addr_gen_mode was "none" from the start: the kernel sends nothing by itself.
            assert [a for a in client.addresses if a.address.startswith("fe80")] == []

    asyncio.run(asyncio.wait_for(scenario(), 30))


async def client_of(sandbox: Sandbox) -> NamespaceState:
    return (await sandbox.observe(["client"])).namespaces["client"]


@pytest.mark.parametrize("address", ["10.9.0.1/24", "fd09::1/64", "10.0.2.9/24"])
def test_an_address_can_come_and_go_twice(address: str) -> None:
    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(TOPOLOGY))
            rules = (await client_of(sandbox)).rules
            for _ in range(2):
                await sandbox.execute(changes.add_address(TOPOLOGY, "client", "lte", address))
                assert len((await client_of(sandbox)).rules) == len(rules) + 1
                await sandbox.execute(changes.remove_address(TOPOLOGY, "client", "lte", address))
                assert (await client_of(sandbox)).rules == rules

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_link_without_a_wire_comes_back_as_it_was() -> None:
    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(TOPOLOGY))
            before = await client_of(sandbox)
            await sandbox.execute(changes.link_down(TOPOLOGY, "lte"))
            assert set((await client_of(sandbox)).routes) < set(before.routes)
            await sandbox.execute(changes.link_up(TOPOLOGY, "lte"))
            after = await client_of(sandbox)
            assert set(after.routes) == set(before.routes)
            assert set(after.neighbours) == set(before.neighbours)
            assert after.rules == before.rules

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize(
    ("old", "new"), [("10.0.2.1/24", "10.0.2.9/24"), ("fd00:0:0:2::1/64", "fd00:0:0:2::9/64")]
)
def test_an_interface_that_is_renumbered_has_the_routes_it_had(old: str, new: str) -> None:
    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(TOPOLOGY))
            before = await client_of(sandbox)
            await sandbox.execute(changes.remove_address(TOPOLOGY, "client", "lte", old))
            await sandbox.execute(changes.add_address(TOPOLOGY, "client", "lte", new, ()))
            after = await client_of(sandbox)
            tables = {(r.table, r.destination) for r in before.routes if r.interface == "lte"}
            assert tables <= {(r.table, r.destination) for r in after.routes}
            old_host, new_host = (each.partition("/")[0] for each in (old, new))
            assert new_host in {route.source for route in after.routes}
            assert old_host not in {route.source for route in after.routes}

    asyncio.run(asyncio.wait_for(scenario(), 30))
