"""A sandbox changes nothing outside: no network, no settings, no mounts.

Outside is a namespace of each kind, in which nobody else changes anything meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.sandbox import Sandbox
from testbed.topology.model import Route
from testbed.topology.operations import AddRoute, SetSysctl
from tests.isolation import isolated

pytestmark = pytest.mark.sandbox

COMMANDS = (
    "ip -details link",
    "ip -details address",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "ip -4 rule",
    "ip -6 rule",
    "ip neighbour show nud permanent",
    "ip netns",
    "ip mptcp endpoint",
    "ip mptcp limits",
    "tc qdisc",
)
FURNISH = (
    "ip link set lo up",
    "ip address add 192.0.2.1/24 dev lo",
    "ip route add 198.51.100.0/24 dev lo",
    "ip rule add from 192.0.2.1 lookup 100",
    "ip mptcp limits set subflows 3 add_addr_accepted 3",
)
# These count what happens; they are not settings.
VOLATILE = {"nf_conntrack_count"}


def host_state() -> dict[str, str]:
    """Return all that could be touched, as text."""
    state = {command: _run(command) for command in COMMANDS}
    state["mounts"] = Path("/proc/self/mountinfo").read_text()
    for root in ("net", "user", "kernel/hostname"):
        state.update(_settings(Path("/proc/sys", root)))
    return state


def _run(command: str) -> str:
    return subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout


def _settings(root: Path) -> Iterator[tuple[str, str]]:
    files = [root] if root.is_file() else sorted(root.rglob("*"))
    for path in files:
        if path.is_file() and path.name not in VOLATILE:
            with contextlib.suppress(OSError):  # some can only be written
                yield str(path), path.read_text(errors="replace")


@isolated
def test_host_is_the_same_during_and_after_two_sandboxes(plans: types.SimpleNamespace) -> None:
    settings = [
        SetSysctl(namespace="client", key="net.ipv4.ip_forward", value="1"),
        SetSysctl(namespace="client", key="net.mptcp.enabled", value="0"),
        AddRoute(namespace="client", route=Route(destination="10.9.0.0/16", via="10.0.0.2")),
    ]
    for command in FURNISH:
        subprocess.run(command.split(), check=True)
    before = host_state()
    assert "192.0.2.1" in before["ip -details address"]

    async def run() -> dict[str, str]:
        async with await Sandbox.create() as one, await Sandbox.create() as other:
            for sandbox in (one, other):
                await sandbox.execute([*plans.wired("delay 1ms"), *settings])
                process = await sandbox.spawn("client", ["ip", "-s", "link"])
                assert (await process.wait(20)).returncode == 0
            return await asyncio.to_thread(host_state)

    during = asyncio.run(run())
    assert during == before
    assert host_state() == before
