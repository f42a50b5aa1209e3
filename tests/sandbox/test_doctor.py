"""Each cause that the doctor knows, in a working network that is broken in this way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
import pytest

from testbed import document
from testbed.doctor import Diagnosis, diagnose
from testbed.doctor.observed import observed_topology
from testbed.sandbox import Sandbox
from testbed.topology.model import Endpoint
from testbed.topology.operations import AddEndpoint, RemoveEndpoint, SetSysctl, SetWire
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec

pytestmark = pytest.mark.sandbox

TWO_PATHS = """
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server]}
  lte: {between: [client, server]}
"""
ONE_SERVER_ADDRESS = """
nodes: {client: {}, router: {kind: router}, server: {}}
links:
  wifi: {between: [client, router]}
  lte: {between: [client, router]}
  core: {between: [router, server]}
"""

Break = Callable[[Sandbox], Awaitable[None]]


def run(*commands: str) -> Break:
    """Run shell commands, each ``NODE: COMMAND``, to their end."""

    async def carry_out(sandbox: Sandbox) -> None:
        for line in commands:
            node, _, command = line.partition(": ")
            process = await sandbox.spawn(node, ["sh", "-c", command], stderr=2)
            assert (await process.wait(10)).returncode == 0, line

    return carry_out


def do(*operations: object) -> Break:
    async def carry_out(sandbox: Sandbox) -> None:
        await sandbox.execute(operations)

    return carry_out


def program(node: str, code: str) -> Break:
    """Start a Python program and wait until it says that it is ready; it goes on."""

    async def carry_out(sandbox: Sandbox) -> None:
        read, write = os.pipe()
        try:
            await sandbox.spawn(node, [sys.executable, "-c", code], stdout=write, stderr=2)
        finally:
            os.close(write)
        with os.fdopen(read) as output:
            assert await asyncio.to_thread(output.readline) == "ready\n"

    return carry_out


def listen(address: str, protocol: int = 262, port: int = 5001) -> str:
    return (
        "import socket, signal\n"
        f"s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {protocol})\n"
        f"s.bind(({address!r}, {port})); s.listen()\n"
        "print('ready', flush=True); signal.pause()\n"
    )


def accept(address: str, protocol: int = 262, port: int = 5001) -> str:
    return listen(address, protocol, port).replace(
        "signal.pause()", "kept = s.accept(); signal.pause()"
    )


def connect(address: str, protocol: int = 262, port: int = 5001) -> str:
    return (
        "import socket, signal\n"
        f"s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {protocol})\n"
        f"s.settimeout(5); s.connect(({address!r}, {port})); s.sendall(b'x')\n"
        "print('ready', flush=True); signal.pause()\n"
    )


def counted(node: str, counter: str) -> Break:
    """Wait until the kernel has counted something: what it does on its own takes its time."""

    async def wait(sandbox: Sandbox) -> None:
        async with asyncio.timeout(10):
            while not (await sandbox.observe([node])).namespaces[node].counters[counter]:
                pass

    return wait


def examine(
    topology: str, *breaks: Break, counters: Mapping[str, Mapping[str, int]] = MappingProxyType({})
) -> Diagnosis:
    """Build and break a network and ask the doctor.

    :param counters: per node, MIB counters to pretend: of what only a middlebox could bring about.
    """

    async def build_and_look() -> Diagnosis:
        resolved = resolve(document.loads(topology, TopologySpec, "topology.yaml"))
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(resolved))
            for each in breaks:
                await each(sandbox)
            description = await sandbox.describe()
            observation = await sandbox.observe()
            assert description.topology is not None
            observed = observed_topology(description.topology, observation, await sandbox.wires())
            states = {
                name: msgspec.structs.replace(
                    state, counters=state.counters | counters.get(name, {})
                )
                for name, state in observation.namespaces.items()
            }
            return diagnose(observed, states, "client", "server")

    return asyncio.run(asyncio.wait_for(build_and_look(), 60))


def causes(diagnosis: Diagnosis) -> set[str]:
    return {finding.cause for finding in diagnosis.findings}


@pytest.mark.parametrize("topology", [TWO_PATHS, ONE_SERVER_ADDRESS])
def test_nothing_is_held_against_a_working_network(topology: str) -> None:
    diagnosis = examine(topology, program("server", listen("0.0.0.0")))
    assert diagnosis.healthy
    assert len(diagnosis.subflows) == 2
    assert diagnosis.findings == ()


def test_it_predicts_what_the_kernel_does() -> None:
    diagnosis = examine(
        TWO_PATHS,
        program("server", listen("0.0.0.0")),
        program("client", connect("10.0.1.2")),
        counted("client", "MPTcpExtMPJoinSynAckRx"),  # after the first data
    )
    assert diagnosis.healthy
    assert diagnosis.joined == 1


BROKEN = {
    "disabled": (TWO_PATHS, [run("server: echo 0 > /proc/sys/net/mptcp/enabled")]),
    "plain_tcp": (
        TWO_PATHS,
        [program("server", listen("0.0.0.0")), program("client", connect("10.0.1.2", 0))],
    ),
    "fallback": (
        TWO_PATHS,
        [program("server", listen("0.0.0.0", 0)), program("client", connect("10.0.1.2"))],
    ),
    "limit_subflows": (
        TWO_PATHS,
        [run("server: ip mptcp limits set subflows 0 add_addr_accepted 0")],
    ),
    "limit_add_addr": (
        TWO_PATHS,
        [run("client: ip mptcp limits set subflows 8 add_addr_accepted 0")],
    ),
    "no_endpoint": (
        TWO_PATHS,
        [run("client: ip mptcp endpoint flush", "server: ip mptcp endpoint flush")],
    ),
    "endpoint_without_address": (
        TWO_PATHS,
        [run("server: ip mptcp endpoint add 10.0.9.9 id 9 signal")],
    ),
    "interface_down": (TWO_PATHS, [run("client: ip link set lte down")]),
    "no_route": (TWO_PATHS, [run("client: ip route del 10.0.2.0/24 dev lte table main")]),
    "routing_by_source": (
        ONE_SERVER_ADDRESS,
        [run("client: ip rule del from 10.0.2.1 lookup 1002")],
    ),
    "no_way_back": (
        ONE_SERVER_ADDRESS,
        [run("server: ip route replace unreachable 10.0.2.0/24")],
    ),
    "rp_filter": (
        """
nodes: {client: {}, router: {kind: router}, server: {policy_routing: false}}
links:
  wifi: {between: [client, router]}
  lte: {between: [client, router]}
  core1: {between: [router, server]}
  core2: {between: [router, server]}
""",
        [run("server: echo 1 > /proc/sys/net/ipv4/conf/core2/rp_filter")],
    ),
    "listener_is_tcp": (TWO_PATHS, [program("server", listen("0.0.0.0", 0))]),
    "listener_bound": (TWO_PATHS, [program("server", listen("10.0.1.2"))]),
    "initial_address_closed": (
        ONE_SERVER_ADDRESS,
        [run("server: echo 0 > /proc/sys/net/mptcp/allow_join_initial_addr_port")],
    ),
    "blackhole": (
        TWO_PATHS.replace("lte: {", "lte: {netem: {}, "),
        [do(SetWire(link="lte", toward="b", options={"loss": "100%"}))],
    ),
    "rejected": (
        ONE_SERVER_ADDRESS,
        [
            run("server: ip mptcp limits set subflows 0 add_addr_accepted 0"),
            program("server", listen("0.0.0.0")),
            program("client", connect("10.0.3.2")),
            counted("server", "MPTcpExtMPJoinRejected"),
        ],
    ),
    "checksum_mismatch": (
        TWO_PATHS,
        [run("client: echo 1 > /proc/sys/net/mptcp/checksum_enabled")],
    ),
}


@pytest.mark.parametrize("cause", BROKEN)
def test_each_cause_is_named_when_it_is_there(cause: str) -> None:
    topology, breaks = BROKEN[cause]
    diagnosis = examine(topology, *breaks)
    assert not diagnosis.healthy
    assert cause in causes(diagnosis)


@pytest.mark.parametrize(
    ("cause", "node", "counter"),
    [
        ("checksum_failed", "server", "MPTcpExtDataCsumErr"),
        ("unknown_token", "server", "MPTcpExtMPJoinNoTokenFound"),
        ("hmac", "client", "MPTcpExtMPJoinSynAckHMacFailure"),
        ("hmac", "server", "MPTcpExtMPJoinAckHMacFailure"),
        ("options_removed", "server", "MPTcpExtMPCapableFallbackACK"),
    ],
)
def test_what_the_kernel_counted_is_explained(cause: str, node: str, counter: str) -> None:
    diagnosis = examine(TWO_PATHS, counters={node: {counter: 3}})
    assert [(finding.cause, finding.node) for finding in diagnosis.findings] == [(cause, node)]


def guarded(link: str, box: str) -> str:
    return TWO_PATHS.replace(f"{link}: {{", f"{link}: {{middlebox: {box!r}, ")


ON_THE_PATH = {
    "capable_removed": (
        guarded("wifi", "strip_options(where=syn_ack)"),
        ("client", "MPTcpExtMPCapableFallbackSYNACK"),
    ),
    "options_removed": (
        guarded("wifi", "strip_options(where=data, toward=server)"),
        ("server", "MPTcpExtMPCapableFallbackACK"),
    ),
    "join_lost": (
        guarded("lte", "firewall(options=[mp_join], where=syn)"),
        ("client", "MPTcpExtMPJoinSynTx"),
    ),
}


@pytest.mark.parametrize("cause", ON_THE_PATH)
def test_what_a_box_does_to_the_kernel_is_named(cause: str) -> None:
    """The doctor does not know of boxes: it compares the counters of both ends."""
    topology, (node, counter) = ON_THE_PATH[cause]
    diagnosis = examine(
        topology,
        program("server", accept("0.0.0.0")),
        program("client", connect("10.0.1.2")),
        counted(node, counter),
    )
    assert cause in causes(diagnosis)


def test_a_remedy_is_a_whole_command() -> None:
    """Also where the endpoint is bound to no interface."""
    topology, breaks = BROKEN["endpoint_without_address"]
    diagnosis = examine(topology, *breaks)
    remedies = [f.remedy for f in diagnosis.findings if f.cause == "endpoint_without_address"]
    assert remedies == ["ip address add 10.0.9.9/... dev INTERFACE on server"]


def test_a_flag_is_missing() -> None:
    """Endpoints that are there, but for nothing: the finding names them."""
    diagnosis = examine(
        TWO_PATHS,
        run("server: ip mptcp endpoint flush"),
        do(RemoveEndpoint(namespace="client", id=2)),
        do(
            AddEndpoint(
                namespace="client",
                endpoint=Endpoint(address="10.0.2.1", id=2, interface="lte", flags=()),
            )
        ),
    )
    (finding,) = diagnosis.findings
    assert finding.cause == "no_endpoint"
    assert "10.0.2.1 at client" in finding.seen


def test_a_sysctl_operation_is_seen_too() -> None:
    operation = SetSysctl(namespace="client", key="net.mptcp.enabled", value="0")
    diagnosis = examine(TWO_PATHS, do(operation))
    assert [(f.cause, f.node) for f in diagnosis.findings] == [("disabled", "client")]
