"""VLANs, tunnels and VRFs in the kernel; on one that lacks them they are refused at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.errors import PlatformError
from testbed.sandbox import Sandbox
from testbed.topology.load import load_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

pytestmark = pytest.mark.sandbox

SHIPPED = Path(__file__).parent.parent.parent / "topologies"
NEEDS = {"vlans": ("vlan",), "vpn": ("wireguard", "gre"), "vrf": ("vrf",)}


async def build(name: str) -> tuple[list[str], str, tuple[str, ...]]:
    """Build a shipped topology.

    :returns: what this kernel lacks for it, what it was refused with, and the namespaces there are.
    """
    wanted = plan(resolve(load_topology(SHIPPED / f"{name}.yaml")))
    refused = ""
    async with await Sandbox.create() as sandbox:
        there = {it.name for it in await sandbox.features() if it.present}
        try:
            await sandbox.execute(wanted)
        except PlatformError as error:
            refused = str(error)
        namespaces = (await sandbox.describe()).namespaces
    return [it for it in NEEDS[name] if it not in there], refused, namespaces


@pytest.mark.parametrize("name", NEEDS)
def test_it_is_built_or_refused_with_the_remedy(name: str) -> None:
    missing, refused, namespaces = asyncio.run(build(name))
    if missing:
        assert f"this kernel has no {missing[0]} " in refused
        assert "--machine uml:7.3" in refused
        assert namespaces == ("@wire",)  # the command did nothing
    else:
        assert not refused
        assert len(namespaces) > 1
