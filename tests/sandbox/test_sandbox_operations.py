"""Carrying operations out on the real kernel, and refusing to believe it blindly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from testbed.errors import InputError, OperationError
from testbed.sandbox import Sandbox
from testbed.sandbox.observation import Address
from testbed.topology.model import Endpoint, EndpointFlag, Limits, Neighbour, Route, Rule, Topology
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddBridge,
    AddEndpoint,
    AddNamespace,
    AddRoute,
    AddRule,
    AddVeth,
    AnyOperation,
    Plan,
    RemoveAddress,
    RemoveEndpoint,
    SetLimits,
    SetLink,
    SetSysctl,
    SetWire,
    VethEnd,
)
from testbed.wire.netem import Netem

PAIR = Topology(name="pair", nodes=(), links=())
pytestmark = pytest.mark.sandbox


def in_sandbox(
    scenario: Callable[[Sandbox], Coroutine[Any, Any, None]], *plan: AnyOperation
) -> None:
    """Run a scenario in a new sandbox in which ``plan`` has been carried out."""

    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan)
            await scenario(sandbox)

    asyncio.run(run())


async def output_of(sandbox: Sandbox, node: str, *argv: str) -> str:
    """Run a program that succeeds and return what it writes to its standard output."""
    reader, writer = os.pipe()
    process = await sandbox.spawn(node, argv, stdout=writer, stderr=2)
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123
        text = await asyncio.to_thread(stream.read)
    assert (await process.wait(30)).returncode == 0
    return text.decode()


SETTINGS: dict[str, tuple[AnyOperation, ...]] = {
    "addresses": (AddAddress(namespace="client", interface="eth0", address="fd00::1/64"),),
    "routes": (
        AddRoute(
            namespace="client",
            route=Route(destination="10.9.0.0/16", via="10.0.0.2", interface="eth0"),
        ),
        AddRoute(
            namespace="client", route=Route(destination="fd09::/64", interface="eth0", table=1000)
        ),
        AddRoute(
            namespace="client", route=Route(destination="10.8.0.0/16", kind="unreachable", table=5)
        ),
        AddRoute(namespace="client", route=Route(destination="fd08::/64", kind="unreachable")),
    ),
    "rules": (
        AddRule(namespace="client", rule=Rule(source="10.0.0.1/32", table=1000, priority=700)),
        AddRule(namespace="client", rule=Rule(source="fd00::1/128", table=1000, priority=700)),
    ),
    "mptcp": (
        SetLimits(namespace="client", limits=Limits(subflows=3, add_addr_accepted=2)),
        AddEndpoint(
            namespace="client",
            endpoint=Endpoint(
                address="10.0.0.1",
                id=7,
                interface="eth0",
                flags=(EndpointFlag.SUBFLOW, EndpointFlag.FULLMESH),
            ),
        ),
        AddEndpoint(
            namespace="client",
            endpoint=Endpoint(
                address="fd00::1", id=8, interface="eth0", flags=(EndpointFlag.SIGNAL,), port=4000
            ),
        ),
    ),
}


def test_every_kind_of_setting_is_observed_as_wanted(plans: types.SimpleNamespace) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        client = (await sandbox.observe(["client"])).namespaces["client"]
        assert Address(interface="eth0", address="fd00::1/64") in client.addresses
        assert Neighbour(interface="eth0", address="10.0.0.2", mac="02:00:00:00:00:02") in (
            client.neighbours
        )
        assert Rule(source="fd00::1/128", table=1000, priority=700) in client.rules
        for operation in SETTINGS["routes"]:
            assert isinstance(operation, AddRoute)
            assert operation.route in client.routes
        assert client.limits == Limits(subflows=3, add_addr_accepted=2)
        assert client.endpoints == (
            Endpoint(
                address="10.0.0.1",
                id=7,
                interface="eth0",
                flags=(EndpointFlag.SUBFLOW, EndpointFlag.FULLMESH),
            ),
            Endpoint(
                address="fd00::1",
                id=8,
                interface="eth0",
                flags=(EndpointFlag.SIGNAL,),
                port=4000,
            ),
        )

    settings = [operation for group in SETTINGS.values() for operation in group]
    in_sandbox(scenario, *plans.direct(), *settings)


def test_what_is_removed_is_gone_and_can_be_added_again(plans: types.SimpleNamespace) -> None:
    address = SETTINGS["addresses"][0]
    assert isinstance(address, AddAddress)
    fields = msgspec.structs.asdict(address)

    async def scenario(sandbox: Sandbox) -> None:
        for _ in range(2):
            await sandbox.execute([*SETTINGS["addresses"], *SETTINGS["mptcp"]])
            await sandbox.execute(
                [
                    RemoveEndpoint(namespace="client", id=7),
                    RemoveEndpoint(namespace="client", id=8),
                    RemoveAddress(**fields),
                ]
            )
        client = (await sandbox.observe(["client"])).namespaces["client"]
        assert client.endpoints == ()
        assert "fd00::1/64" not in [each.address for each in client.addresses]

    in_sandbox(scenario, *plans.direct())


def test_link_goes_down_and_up(plans: types.SimpleNamespace) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        for up in (False, True):
            await sandbox.execute([SetLink(namespace="client", interface="eth0", up=up)])
            link = (await sandbox.observe(["client"])).namespaces["client"].link("eth0")
            assert link is not None
            assert link.up is up

    in_sandbox(scenario, *plans.direct())


def test_hosts_round_a_switch_reach_one_another() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        text = await output_of(sandbox, "h1", sys.executable, "-c", ECHO, "10.0.0.1", "10.0.0.3")
        assert text.strip() == "hello"

    plan: list[AnyOperation] = [AddBridge(namespace=WIRE, interface="switch")]
    for number in (1, 2, 3):
        plan += [
            AddNamespace(namespace=f"h{number}"),
            AddVeth(
                a=VethEnd(
                    namespace=f"h{number}",
                    interface="eth0",
                    mac=f"02:00:00:00:00:0{number}",
                    mtu=1500,
                ),
                b=VethEnd(
                    namespace=WIRE,
                    interface=f"p{number}",
                    mac=f"06:00:00:00:00:0{number}",
                    mtu=1500,
                    bridge="switch",
                ),
            ),
            AddAddress(namespace=f"h{number}", interface="eth0", address=f"10.0.0.{number}/24"),
        ]
    in_sandbox(scenario, *plan)


# Both ends in one program: a UDP socket here, its peer in h3, entered through ip-netns's folder.
ECHO = """
import ctypes, os, socket, sys
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind((sys.argv[1], 9))
here.settimeout(10)
with open("/run/netns/h3") as namespace:
    assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.bind((sys.argv[2], 9))
here.sendto(b"hello", (sys.argv[2], 9))
print(there.recv(99).decode())
"""


@pytest.mark.parametrize(
    ("operation", "seen"),
    [
        (AddAddress(namespace="client", interface="eth0", address="10.0.0.1/24"), "EEXIST"),
        (AddAddress(namespace="client", interface="eth9", address="10.0.0.1/24"), "eth0"),
        (
            AddRoute(namespace="client", route=Route(destination="10.9.0.0/16", via="10.77.0.1")),
            "ENETUNREACH",
        ),
        (SetSysctl(namespace="client", key="net.no.such", value="1"), "ENOENT"),
        (SetSysctl(namespace="client", key="net.ipv4.ip_local_port_range", value="x"), "EINVAL"),
        (RemoveEndpoint(namespace="client", id=9), "EINVAL"),
        (SetLimits(namespace="client", limits=Limits(subflows=99, add_addr_accepted=0)), "EINVAL"),
        (SetWire(link="none", toward="a", options={"delay": "1ms"}), "wires"),
    ],
)
def test_refusal_names_the_operation_and_the_kernels_answer(
    operation: AnyOperation, seen: str, plans: types.SimpleNamespace
) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(OperationError) as caught:
            await sandbox.execute([operation])
        assert caught.value.operation == str(operation)
        assert seen in caught.value.seen

    in_sandbox(scenario, *plans.direct())


def test_a_refused_sysctl_says_what_the_kernel_would_take(plans: types.SimpleNamespace) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        for key, value, hint in (
            ("net.ipv4.tcp_congestion_control", "olia", "available in nodes: .*reno"),
            ("net.ipv4.tcp_sak", "1", "did you mean 'tcp_sack'"),
        ):
            with pytest.raises(OperationError) as caught:
                await sandbox.execute([SetSysctl(namespace="client", key=key, value=value)])
            assert re.search(hint, str(caught.value))

    in_sandbox(scenario, *plans.direct())


def test_the_kernels_own_explanation_is_passed_on(plans: types.SimpleNamespace) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(OperationError, match="invalid gateway"):
            await sandbox.execute(
                [
                    AddRoute(
                        namespace="client", route=Route(destination="10.9.0.0/16", via="10.77.0.1")
                    )
                ]
            )

    in_sandbox(scenario, *plans.direct())


def test_what_reads_back_differently_is_an_error(plans: types.SimpleNamespace) -> None:
    """The kernel takes the hexadecimal number without complaint and shows a decimal one."""

    async def scenario(sandbox: Sandbox) -> None:
        operation = SetSysctl(namespace="client", key="net.ipv4.tcp_fin_timeout", value="0x10")
        with pytest.raises(OperationError) as caught:
            await sandbox.execute([operation])
        assert "0x10" in caught.value.wanted
        assert "16" in caught.value.seen
        await sandbox.execute([operation], verify=False)

    in_sandbox(scenario, *plans.direct())


def test_unknown_node_is_an_error() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(InputError, match="nobody"):
            await sandbox.execute([SetSysctl(namespace="nobody", key="a.b", value="1")])
        with pytest.raises(InputError, match="nobody"):
            await sandbox.spawn("nobody", ["true"])
        with pytest.raises(InputError, match="nobody"):
            await sandbox.observe(["nobody"])

    in_sandbox(scenario)


CAPTURE = """
import socket, struct, sys
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
tap.bind(("eth0", 0))
tap.settimeout(20)
server = socket.create_server(("10.0.0.2", 5000))
print("ready", flush=True)
peer, _ = server.accept()
taken = 0
while taken < 2_000_000:
    taken += len(peer.recv(1 << 20))
longest = wrong = frames = 0
tap.setblocking(False)
try:
    while True:
        frame = tap.recv(1 << 17)
        ip = frame[14:]
        length = struct.unpack("!H", ip[2:4])[0]
        if ip[9] != 6 or ip[12:16] != bytes([10, 0, 0, 1]):
            continue
        frames += 1
        longest = max(longest, len(frame))
        segment = ip[20:length]
        pseudo = ip[12:20] + struct.pack("!BBH", 0, 6, len(segment))
        wrong += checksum(pseudo + segment) != 0xffff
except BlockingIOError:
    pass
print(frames, longest, wrong)
"""
SEND = """
import socket
peer = socket.create_connection(("10.0.0.2", 5000), 10)
peer.sendall(bytes(2_000_000))
peer.recv(1)
"""


@pytest.mark.parametrize("offload", [False, True])
def test_without_offload_frames_fit_the_mtu_and_carry_checksums(
    offload: bool, plans: types.SimpleNamespace
) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        reader, writer = os.pipe()
        capture = await sandbox.spawn(
            "server", [sys.executable, "-c", CAPTURE], stdout=writer, stderr=2
        )
        os.close(writer)
        with open(reader) as lines:  # noqa: PTH123
            assert await asyncio.to_thread(lines.readline) == "ready\n"
            await sandbox.spawn("client", [sys.executable, "-c", SEND], stderr=2)
            result = await asyncio.to_thread(lines.readline)
        assert (await capture.wait(30)).returncode == 0
        frames, longest, wrong = (int(word) for word in result.split())
        assert frames
        if offload:  # the test can tell
            assert longest > 1514
            assert wrong > 0
        else:
            assert longest == 1514
            assert wrong == 0

    in_sandbox(scenario, *plans.direct(offload=offload))


def test_wire_changes_named_options_in_place(plans: types.SimpleNamespace) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        await sandbox.execute([SetWire(link="link", toward="b", options={"loss": "100%"})])
        report = await sandbox.wires()
        options = {wire.toward: wire.netem for wire in report.wires}
        assert options == {
            "a": Netem.parse("delay 1ms"),
            "b": Netem.parse("delay 2ms rate 10mbit loss 100%"),
        }
        assert {wire.engine for wire in report.wires} == {"emulator"}
        assert report.emulator_cpu_s > 0

    in_sandbox(scenario, *plans.wired("delay 2ms rate 10mbit", "delay 1ms"))


def test_plan_and_engines_are_remembered(plans: types.SimpleNamespace) -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            plan = Plan(
                topology=PAIR,
                operations=tuple(plans.wired(engine="emulator")),
            )
            execution = await sandbox.execute(plan)
            assert execution.engine == {"link": "emulator"}
            description = await sandbox.describe()
            assert description.topology == plan.topology
            assert description.engine == {"link": "emulator"}
            assert description.namespaces == (WIRE, "client", "server")

    asyncio.run(run())


def test_two_equal_topologies_run_side_by_side(plans: types.SimpleNamespace) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sandboxes = [await stack.enter_async_context(await Sandbox.create()) for _ in range(2)]
            await asyncio.gather(*(each.execute(plans.wired()) for each in sandboxes))
            for each in sandboxes:
                links = json.loads(await output_of(each, "client", "ip", "-j", "link"))
                assert [link["ifname"] for link in links] == ["lo", "eth0"]
            await sandboxes[0].execute([SetLink(namespace="client", interface="eth0", up=False)])
            link = (await sandboxes[1].observe(["client"])).namespaces["client"].link("eth0")
            assert link is not None
            assert link.up

    asyncio.run(run())
