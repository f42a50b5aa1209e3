"""Endpoints of ``ip mptcp`` reach our stack as they do the kernel's, and announced ports work."""

from __future__ import annotations

import os

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Family
from testbed.topology.present import GiveEndpoint, SetEndpoint, TakeEndpoint
from testbed.topology.resolve import resolve
from testbed.topology.spec import EndpointSpec

pytestmark = pytest.mark.sandbox

MIB = 2**20
PORT = 6000
STACKS = [("userspace", "userspace"), ("userspace", "mptcp"), ("mptcp", "userspace"),
          ("mptcp", "mptcp")]  # fmt: skip
TWO_PATHS = """
nodes:
  client: {mptcp: {endpoints: CLIENT}}
  server: {mptcp: {endpoints: SERVER}}
links:
  path0: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
  path1: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
"""


def topology(family, *, client="none", server="none"):
    text = TWO_PATHS.replace("CLIENT", client).replace("SERVER", server)
    return resolve(loads_topology(text), family=family)


def remotes(seen):
    """Return the ports of the peer that a connection's subflows go to."""
    return sorted(
        int(flow["remote"].rpartition(":")[2]) for flow in seen["view"]["mptcp_info"]["subflows"]
    )


# Between two kernels (Linux 6.18) nobody joins a port that is announced with an IPv6 address.
ANNOUNCED = [(pair, Family.IPV4) for pair in STACKS] + [
    (pair, Family.IPV6) for pair in STACKS if pair[1] == "userspace"
]


@pytest.mark.parametrize(("pair", "family"), ANNOUNCED)
def test_an_announced_port_is_open(lab, pair, family):
    announced = f"[{{interface: path1, flags: [signal], port: {PORT}}}]"

    async def test(lab):
        client, server = await lab.transfer(*pair, MIB, subflows=2)
        assert client["received"] == server["sent"]
        assert remotes(client) == [5001, PORT]

    lab(topology(family, server=announced), family, test)


@pytest.mark.parametrize("pair", STACKS[1:3])
def test_the_kernel_gets_its_port_back(lab, pair):
    announced = f"[{{interface: path1, flags: [signal], port: {PORT}}}]"

    async def test(lab):
        await lab.transfer(*pair, MIB, subflows=2)
        client, _ = await lab.transfer("mptcp", "mptcp", MIB, subflows=2)
        assert remotes(client) == [5001, PORT]

    lab(topology(Family.IPV4, server=announced), Family.IPV4, test)


@pytest.mark.parametrize("pair", STACKS)
def test_endpoints_come_and_go(lab, pair):
    """A signal endpoint of the server comes, and goes again, while data flows."""
    wanted = topology(Family.IPV4)

    async def test(lab):
        async def during(sandbox):
            spec = EndpointSpec(interface="path1", flags=["signal"])
            await sandbox.change(GiveEndpoint(node="server", endpoint=spec))

        client, server = await lab.transfer(*pair, 8 * MIB, subflows=2, during=during)
        assert client["received"] == server["sent"]
        assert remotes(client) == [5001, 5001]

    lab(wanted, Family.IPV4, test)


@pytest.mark.parametrize("pair", STACKS)
def test_a_removed_endpoint_ends_its_subflow(lab, pair):
    signal = "[{interface: path1, flags: [signal]}]"
    wanted = topology(Family.IPV4, server=signal)

    async def test(lab):
        async def during(sandbox):
            await sandbox.change(TakeEndpoint(node="server", which="path1"))

        client, server = await lab.transfer(*pair, 8 * MIB, at_half=2, during=during)
        assert client["received"] == server["sent"]
        alive = [flow for flow in client["view"]["mptcp_info"]["subflows"]
                 if flow["tcp"]["state"] == 1]  # fmt: skip
        assert len(alive) == 1

    lab(wanted, Family.IPV4, test)


LIMITED = """
nodes:
  client: {mptcp: {endpoints: FLAGS, limits: {subflows: 2, add_addr_accepted: ACCEPTED}}}
  server:
    mptcp: {endpoints: signal}
    sysctls: {net.mptcp.allow_join_initial_addr_port: SYSCTL}
links:
  path0: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
  path1: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
"""


@pytest.mark.parametrize("pair", STACKS)
@pytest.mark.parametrize(
    ("flags", "accepted", "allow"), [("subflow", 0, 0), ("[subflow, laminar]", 8, 1)]
)
def test_announced_addresses_are_joined_from_endpoints(lab, pair, flags, accepted, allow):
    """Where the server denies joins to its first address and no ADD_ADDR is accepted otherwise, and
    from laminar endpoints (Linux 6.18).
    """
    if "laminar" in flags and not laminar_is_known():
        pytest.skip("this kernel knows no laminar endpoints")
    text = LIMITED.replace("FLAGS", flags).replace("ACCEPTED", str(accepted))
    wanted = resolve(loads_topology(text.replace("SYSCTL", str(allow))), family=Family.IPV4)

    async def test(lab):
        client, server = await lab.transfer(*pair, MIB, subflows=2)
        assert client["received"] == server["sent"]
        joined = [flow for flow in client["view"]["mptcp_info"]["subflows"]
                  if flow["tcp"]["state"] == 1]  # fmt: skip
        remote = sorted(flow["remote"].rpartition(":")[0] for flow in joined)
        assert remote == ["10.0.1.2", "10.0.2.2"]

    lab(wanted, Family.IPV4, test)


def laminar_is_known():
    release = os.uname().release.split("-")[0].split(".")
    return tuple(map(int, release[:2])) >= (6, 18)


@pytest.mark.parametrize("pair", STACKS)
def test_mapped_addresses_are_those_of_ipv4(lab, pair):
    """Destination and announced endpoint are written as IPv4-mapped IPv6 addresses."""
    wanted = topology(Family.IPV4)

    async def test(lab):
        add = "ip mptcp endpoint add ::ffff:10.0.2.2 id 5 signal"
        added = await lab.launcher.spawn("server", add.split())
        assert (await added.wait()).returncode == 0
        lab.address = "::ffff:10.0.1.2"
        lab.family = Family.IPV6 if pair[1] == "mptcp" else Family.IPV4
        client, server = await lab.transfer(*pair, MIB, subflows=2)
        assert client["received"] == server["sent"]

    lab(wanted, Family.IPV4, test)


@pytest.mark.parametrize("pair", STACKS)
def test_an_endpoint_becomes_a_backup(lab, pair):
    wanted = topology(Family.IPV4, server="[{interface: path1, flags: [signal]}]")

    async def test(lab):
        async def during(sandbox):
            await sandbox.change(SetEndpoint(node="server", which="path1", backup=True))

        client, server = await lab.transfer(*pair, 16 * MIB, at_half=2, during=during)
        assert client["received"] == server["sent"]
        for node, stack, seen in zip(("client", "server"), pair, (client, server), strict=True):
            if stack == "mptcp":
                counter = "MPTcpExtMPPrioTx" if node == "server" else "MPTcpExtMPPrioRx"
                assert (await lab.counters(node)).get(counter) == 1
            else:
                flows = seen["view"]["mptcp_info"]["subflows"]
                assert {flow["local"][:6] for flow in flows if flow["backup"]} == {"10.0.2"}

    lab(wanted, Family.IPV4, test)
