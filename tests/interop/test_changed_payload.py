"""A router edits payloads: what our stack and the kernel make of that (RFC 8684, section 3.7)."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Family
from testbed.topology.operations import SetSysctl
from testbed.topology.resolve import resolve

from .conftest import ANY, PORT, complaint, said
from .test_kernel_interoperability import MPTCP, ON_BAD_PATHS

pytestmark = pytest.mark.sandbox

BOX = str(Path(__file__).with_name("rewriting.py"))
TEXT = str(Path(__file__).with_name("text.py"))
ORIGINAL = "10.0.0.1"
CHANGES = {"same length": "10.0.0.2", "longer": "192.168.100.1", "shorter": "1.1.1.1"}
ONE_PATH = """
nodes: {client: {}, box: {kind: router}, server: {}}
links:
  near: {between: [client, box], netem: rate 20mbit delay 5ms}
  far: {between: [box, server]}
"""
TWO_PATHS = """
nodes: {client: {}, box: {kind: router}, server: {}}
links:
  direct: {between: [client, server], netem: rate 20mbit delay 5ms}
  near: {between: [client, box], netem: rate 20mbit delay 5ms}
  far: {between: [box, server]}
"""


async def exchange(lab, pair, toward, changed, after):
    """Send text both ways through the box; return what both ends have seen."""
    await lab.sandbox.execute(
        [
            SetSysctl(namespace=node, key="net.mptcp.checksum_enabled", value="1")
            for node in ("client", "server")
        ]
    )
    box = await lab.start("box", BOX, "near", "far", toward, ORIGINAL, changed, str(after))
    assert await said(box) == "ready"
    common = (str(PORT), changed, ORIGINAL)
    server = await lab.start("server", TEXT, "server", pair[1], ANY[Family.IPV4], *common)
    assert await said(server) == "ready"
    client = await lab.start("client", TEXT, "client", pair[0], lab.address, *common)
    seen = await asyncio.gather(said(client), said(server))
    for program in (client, server):
        assert (await program.wait()).returncode == 0, await complaint(program)
    await box.kill(signal.SIGTERM)
    await box.wait()
    return [json.loads(each) for each in seen]


@pytest.mark.parametrize("change", CHANGES)
def test_only_path_goes_on_as_plain_tcp(lab, change):
    """The kernel finds the change; all arrives, and nothing but the box's edits is in it."""

    async def test(lab):
        pair = ("userspace", "mptcp")
        client, server = await exchange(lab, pair, "b", CHANGES[change], 100_000)
        assert client["whole"]
        assert server["whole"]
        assert server["changed"]
        counters = await lab.counters("server")
        assert counters["MPTcpExtDataCsumErr"] >= 1
        assert counters["MPTcpExtMPFailTx"] >= 1

    lab(resolve(loads_topology(ONE_PATH), family=Family.IPV4), Family.IPV4, test)


@pytest.mark.parametrize(("toward", "change"), [("a", "shorter"), ("b", "longer")])
@pytest.mark.parametrize("pair", MPTCP[ON_BAD_PATHS])
def test_path_among_others_is_given_up(lab, pair, toward, change):
    """Its subflow is reset, with MP_FAIL; all data arrives over the other as it was sent."""

    async def test(lab):
        client, server = await exchange(lab, pair, toward, CHANGES[change], 0)
        for node, stack, end in zip(("client", "server"), pair, (client, server), strict=True):
            assert end["whole"]
            assert not end["changed"]
            assert not end["view"]["mptcp_info"]["fallback"]
            if stack == "mptcp":
                counters = await lab.counters(node)
                # The kernel has detected the change, or has received our report of it.
                found = (node == "server") is (toward == "b")
                for option in ("MPFail", "MPRst"):
                    assert counters[f"MPTcpExt{option}{'Tx' if found else 'Rx'}"] == 1

    lab(resolve(loads_topology(TWO_PATHS), family=Family.IPV4), Family.IPV4, test)
