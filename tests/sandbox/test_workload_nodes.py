"""Workloads between the nodes of a sandbox."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from testbed.document import structured
from testbed.errors import PlatformError, WorkloadError
from testbed.experiment.launcher import Launcher
from testbed.sandbox import Sandbox
from testbed.topology.operations import (
    AddAddress,
    AddNamespace,
    AddVeth,
    AnyOperation,
    SetLink,
    SetSysctl,
    VethEnd,
)
from testbed.workload.base import Workload
from testbed.workload.result import WorkloadResult
from testbed.workload.run import run

pytestmark = pytest.mark.sandbox

HOSTS = {"client": 1, "server": 2}
IPV4, IPV6 = "10.0.0.2", "fd00::2"


def network() -> list[AnyOperation]:
    ends = [
        VethEnd(namespace=node, interface="eth", mac=f"02:00:00:00:00:0{host}", mtu=1500)
        for node, host in HOSTS.items()
    ]
    addresses = [
        AddAddress(namespace=node, interface="eth", address=address)
        for node, host in HOSTS.items()
        for address in (f"10.0.0.{host}/24", f"fd00::{host}/64")
    ]
    return [
        *(AddNamespace(namespace=node) for node in HOSTS),
        AddVeth(a=ends[0], b=ends[1]),
        *addresses,
    ]


class Lab:
    def __init__(self, sandbox: Sandbox, launcher: Launcher) -> None:
        self.sandbox = sandbox
        self.launcher = launcher

    async def work(
        self, *, stack: str = "tcp", address: str = IPV4, limit_s: float = 30, **fields: Any
    ) -> WorkloadResult:
        workload = structured({"from": "client", "to": "server", **fields}, Workload)
        return await run(
            workload,
            stack=stack,
            address=address,
            launcher=self.launcher,
            seed=1,
            timeout_ns=round(limit_s * 1e9),
        )


@pytest.fixture
def lab() -> Callable[[Callable[[Lab], Awaitable[Any]]], Any]:
    def inside(test: Callable[[Lab], Awaitable[Any]]) -> Any:
        async def go() -> Any:
            async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
                await sandbox.execute(network())
                return await test(Lab(sandbox, launcher))

        return asyncio.run(go())

    return inside


@pytest.mark.parametrize("stack", ["tcp", "mptcp"])
@pytest.mark.parametrize(("family", "address"), [("ipv4", IPV4), ("ipv6", IPV6)])
def test_every_kind_runs_on_every_stack_and_family(lab, stack, family, address):
    async def test(lab: Lab) -> list[WorkloadResult]:
        kinds: list[dict[str, Any]] = [
            {"kind": "bulk", "size": "2MB", "direction": "both"},
            {"kind": "reqres", "count": 10, "reconnect": True},
            {"kind": "stream", "count": 10, "rate": "100mbit", "direction": "reverse"},
        ]
        return [
            await lab.work(stack=stack, address=address, family=family, **kind) for kind in kinds
        ]

    for result in lab(test):
        for end in ("source", "target"):
            view = result.details[end]["view"]
            assert view.keys() == {f"{stack}_info"}
            if stack == "mptcp":
                assert not view["mptcp_info"]["fallback"]
        assert result.metrics["goodput"] > 0
        assert result.metrics["cpu_source"] > 0


def test_a_node_without_mptcp_is_a_matter_of_the_platform(lab):
    async def test(lab: Lab) -> None:
        off = SetSysctl(namespace="server", key="net.mptcp.enabled", value="0")
        await lab.sandbox.execute([off])
        await lab.work(stack="mptcp", kind="bulk", size="1MB")

    with pytest.raises(PlatformError, match=r"net\.mptcp\.enabled is 0"):
        lab(test)


def test_one_bit_turned_on_the_way_fails_the_run(lab):
    """A relay between client and server turns one bit of what the client sends."""
    relay = """
import socket, sys, threading
here = socket.create_server(("127.0.0.1", 5001))
print("relaying", flush=True)
near, _ = here.accept()
far = socket.create_connection((sys.argv[1], 5001))
def back():
    while data := far.recv(65536):
        near.sendall(data)
    near.shutdown(socket.SHUT_WR)
threading.Thread(target=back).start()
seen = 0
while data := near.recv(65536):
    place = 500_000 - seen
    if 0 <= place < len(data):
        data = data[:place] + bytes([data[place] ^ 4]) + data[place + 1:]
    seen += len(data)
    far.sendall(data)
far.shutdown(socket.SHUT_WR)
"""

    async def test(lab: Lab) -> None:
        program = await lab.launcher.spawn("client", [sys.executable, "-c", relay, IPV4])
        assert await program.stdout.readline() == b"relaying\n"
        await lab.work(address="127.0.0.1", kind="bulk", size="1MB")

    with pytest.raises(WorkloadError) as caught:
        lab(test)
    assert "the client sent 1048576 octets with CRC-32 " in str(caught.value)
    assert "but the server received 1048576 octets with CRC-32 " in str(caught.value)


def test_a_dead_link_is_said_by_both_ends(lab):
    async def test(lab: Lab, limit_s: float) -> None:
        await lab.sandbox.execute([SetLink(namespace="server", interface="eth", up=False)])
        await lab.work(kind="bulk", size="1MB", limit_s=limit_s)

    waiting = f"waiting for a connection to {IPV4} port 5001"
    for limit_s in (1, 4, 16):  # longer, until both have started in time
        with pytest.raises(WorkloadError) as caught:
            lab(lambda lab, limit_s=limit_s: test(lab, limit_s))
        if waiting in str(caught.value):
            break
    assert waiting in str(caught.value)
    assert "the server " in str(caught.value)


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")
def test_iperf3_meets_a_dead_link(lab):
    async def test(lab: Lab) -> None:
        await lab.sandbox.execute([SetLink(namespace="server", interface="eth", up=False)])
        await lab.work(kind="iperf3", duration="1s", limit_s=1)

    with pytest.raises(WorkloadError, match="iperf3"):
        lab(test)
