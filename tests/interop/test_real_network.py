"""The host driver in namespaces: frames, neighbours, ICMP, the kernel's silence, sockets, nc."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
from pathlib import Path

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Family
from testbed.topology.operations import SetSysctl
from testbed.topology.resolve import resolve

pytestmark = pytest.mark.sandbox

BLOCKING = str(Path(__file__).with_name("blocking.py"))
NC = (sys.executable, "-m", "testbed", "nc")
MIB = 2**20
OFFLOADING = """
nodes: {client: {}, server: {}}
links:
  path: {between: [client, server], offload: true}
"""
SMALL_MTU = """
nodes: {client: {}, router: {kind: router}, server: {}}
links:
  wide: {between: [client, router]}
  narrow: {between: [router, server], mtu: 1300}
"""


async def ended(program):
    """Return exit status, standard output and standard error of a program."""
    output, complaint = await asyncio.gather(everything(program.stdout), everything(program.stderr))
    return (await program.wait()).returncode, output, complaint.decode()


async def everything(stream):
    data = b""
    while piece := await stream.read(2**16):
        data += piece
    return data


@pytest.mark.parametrize("stack", ["userspace", "userspace-tcp"])
def test_frames_on_the_wire_are_as_large_as_the_interface_takes(lab, stack):
    """The kernel cuts segments of 64 KiB, with any offloads of the interface."""

    async def test(lab):
        await lab.transfer(stack, stack, 2 * MIB)
        seen = (await lab.sandbox.observe(["server"])).namespaces["server"]
        (link,) = (each for each in seen.links if each.name == "path0")
        assert not link.offload
        assert link.rx_packets >= 2 * MIB / 1448

    lab([""], Family.IPV4, test)


@pytest.mark.parametrize("pair", [("userspace", "mptcp"), ("mptcp", "userspace")])
@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
def test_segments_of_64_kib_travel_in_one_piece_where_interfaces_take_them(lab, pair, family):
    async def test(lab):
        client, server = await lab.transfer(*pair, 8 * MIB)
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]
        for node in ("client", "server"):
            seen = (await lab.sandbox.observe([node])).namespaces[node]
            (link,) = (each for each in seen.links if each.name == "path")
            assert link.offload
            assert link.rx_packets < 8 * MIB / 1448

    lab(resolve(loads_topology(OFFLOADING), family=family), family, test)


@pytest.mark.parametrize("pair", [("userspace-tcp", "tcp"), ("userspace", "mptcp")])
@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
def test_icmp_tells_of_a_smaller_path(lab, pair, family):
    """The router's "packet too big" reaches the connection, which sends smaller segments."""

    async def test(lab):
        client, server = await lab.transfer(*pair, MIB)
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]
        view = client["view"]
        tcp = view["mptcp_info"]["subflows"][0]["tcp"] if "mptcp_info" in view else view["tcp_info"]
        assert tcp["pmtu"] == 1300

    lab(resolve(loads_topology(SMALL_MTU), family=family), family, test)


@pytest.mark.parametrize(
    ("serving", "dialling"),
    [("server", "kernel-client"), ("kernel-server", "client"), ("server", "client")],
)
def test_blocking_sockets(lab, serving, dialling):
    async def test(lab):
        server = await lab.start("server", BLOCKING, serving, lab.address)
        assert (await server.stdout.readline()).strip() == b"ready"
        client = await lab.start("client", BLOCKING, dialling, lab.address)
        for program in (client, server):
            status, _, complaint = await ended(program)
            assert status == 0, complaint

    lab(["", ""], Family.IPV4, test)


def test_blocking_sockets_raise_what_the_kernel_s_do(lab):
    async def test(lab):
        program = await lab.start("client", BLOCKING, "errors", lab.address)
        status, _, complaint = await ended(program)
        assert status == 0, complaint

    lab([""], Family.IPV4, test)


def test_nc_carries_both_ways_and_tells_of_it(lab, tmp_path):
    trace = tmp_path / "trace.jsonl"

    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-w", "20", "-v", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        client = await lab.launcher.spawn(
            "client", (*NC, "-w", "20", "--trace", str(trace), lab.address, "5001")
        )
        for program, words in ((server, b"from the server"), (client, b"from the client")):
            program.stdin.write(words)
            program.stdin.close()
        status, output, complaint = await ended(client)
        assert (status, output) == (0, b"from the server"), complaint
        status, output, complaint = await ended(server)
        assert (status, output) == (0, b"from the client"), complaint
        assert "sent 15 octets, received 15 octets" in complaint

    lab(["", ""], Family.IPV4, test)
    events = read(trace)
    assert [event["event"] for event in events][:2] == ["created", "established"]
    assert all(isinstance(event["t_ns"], int) for event in events)


@pytest.mark.parametrize("stack", ["userspace", "userspace-tcp"])
def test_nc_says_why_there_is_no_connection(lab, stack):
    async def test(lab):
        argv = (*NC, "--retry", "0", "--stack", stack, "-w")
        refused = await lab.launcher.spawn("client", (*argv, "20", lab.address, "5001"))
        status, _, complaint = await ended(refused)
        assert status == 1
        assert complaint.startswith(f"testbed: {lab.address} port 5001: Connection refused")
        unheard = await lab.launcher.spawn("client", (*argv, "1", "-l", "5001"))
        assert await ended(unheard) == (
            1,
            b"",
            "testbed: nothing happened for 1 s while waiting for a connection to port 5001\n",
        )

    lab([""], Family.IPV4, test)


def test_nc_may_be_started_before_its_listener(lab):
    async def test(lab):
        argv = (*NC, "--retry", "60", "-v", lab.address, "5001")
        client = await lab.launcher.spawn("client", argv)
        line = await client.stderr.readline()
        assert line.decode() == f"testbed: no program listens on {lab.address} port 5001 yet\n"
        server = await lab.launcher.spawn("server", (*NC, "-l", "5001"))
        for program in (client, server):
            program.stdin.close()
        assert (await ended(client))[0] == 0
        assert (await ended(server))[0] == 0

    lab([""], Family.IPV4, test)


def test_nc_at_a_terminal_ends_when_the_peer_has_said_all(lab):
    async def test(lab):
        controller, terminal = os.openpty()
        reader, writer = os.pipe()
        server = await lab.sandbox.spawn(
            "server", (*NC, "-l", "5001"), stdin=terminal, stdout=writer
        )
        client = await lab.launcher.spawn("client", (*NC, "--retry", "60", lab.address, "5001"))
        client.stdin.write(b"hello")
        client.stdin.close()
        assert await ended(client) == (0, b"", "")
        assert (await server.wait()).returncode == 0
        assert os.read(reader, 100) == b"hello"
        for descriptor in (controller, terminal, reader, writer):
            os.close(descriptor)

    lab([""], Family.IPV4, test)


def test_nc_that_is_terminated_resets_its_connection(lab):
    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-v", "-w", "20", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        client = await lab.launcher.spawn("client", (*NC, "-v", lab.address, "5001"))
        assert b"connected" in await client.stderr.readline()
        await client.kill(signal.SIGTERM)
        assert await ended(client) == (130, b"", "testbed: interrupted\n")
        status, _, complaint = await ended(server)
        assert status == 1
        assert "Connection reset by peer" in complaint

    lab([""], Family.IPV4, test)


def test_nc_ends_its_output_when_the_peer_closes_its_side(lab):
    """A reader of the pipe needs not wait until our own input ends."""

    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-l", "5001"))
        client = await lab.launcher.spawn("client", (*NC, "--retry", "60", lab.address, "5001"))
        client.stdin.write(b"hello")
        client.stdin.close()
        assert await everything(server.stdout) == b"hello"
        server.stdin.write(b"goodbye")
        server.stdin.close()
        assert await ended(client) == (0, b"goodbye", "")
        assert (await server.wait()).returncode == 0

    lab([""], Family.IPV4, test)


@pytest.mark.parametrize("stack", ["userspace", "userspace-tcp"])
def test_nc_refuses_an_address_that_is_not_its_own(lab, stack):
    async def test(lab):
        argv = (*NC, "--stack", stack)
        for where in (("-l", "192.0.2.1", "5001"), ("-s", "192.0.2.1", lab.address, "5001")):
            program = await lab.launcher.spawn("client", (*argv, *where))
            status, _, complaint = await ended(program)
            assert status == 1
            assert complaint.endswith(": 192.0.2.1: Cannot assign requested address\n")
            assert complaint.count("\n") == 1

    lab([""], Family.IPV4, test)


def test_nc_takes_a_closed_input_for_an_empty_one(lab):
    async def test(lab):
        shell = f"exec {' '.join(NC)} -l 5001 <&-"
        server = await lab.launcher.spawn("server", ("sh", "-c", shell))
        client = await lab.launcher.spawn("client", (*NC, "--retry", "60", lab.address, "5001"))
        client.stdin.write(b"hello")
        client.stdin.close()
        assert await ended(client) == (0, b"", "")
        assert await ended(server) == (0, b"hello", "")

    lab([""], Family.IPV4, test)


def test_nc_tells_of_every_octet_and_fails_when_the_peer_dies(lab, tmp_path):
    """The peer may lack data that the stack has taken: nc waits for the end, and reports it.

    With MPTCP a peer that dies leaves a connection without subflows, which may be joined again for
    a minute; with TCP it is over at once.
    """
    content = tmp_path / "content"
    content.write_bytes(random.Random(1).randbytes(3_000_000))

    async def send(lab, stack):
        options = ("-v", "-w", "20", "--stack", stack)
        server = await lab.launcher.spawn("server", (*NC, *options, "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        shell = f"exec {' '.join((*NC, *options))} {lab.address} 5001 < {content}"
        client = await lab.launcher.spawn("client", ("sh", "-c", shell))
        assert b"connected" in await client.stderr.readline()
        return server, client

    async def test(lab):
        server, client = await send(lab, "userspace")
        server.stdin.close()
        received = 0
        while data := await server.stdout.read(2**18):
            received += len(data)
        status, _, complaint = await ended(client)
        assert (status, received) == (0, 3_000_000), complaint
        told = [int(octets) for octets in re.findall(r": sent (\d+) octets", complaint)]
        assert told[0] == 3_000_000 <= sum(told[1:])
        await server.wait()

        server, client = await send(lab, "userspace-tcp")
        await server.kill(signal.SIGKILL)
        status, _, complaint = await ended(client)
        assert status == 1
        assert "reset by peer" in complaint

    lab(["rate 20mbit delay 5ms", "rate 20mbit delay 5ms"], Family.IPV4, test)


def test_what_one_path_confirms_late_is_counted_too(lab):
    """The connection's own acknowledgment may come by another path before the subflow's comes."""
    topology = """
    nodes: {client: {}, server: {}}
    links:
      prompt: {between: [client, server], netem: {rate: 2mbit, delay: 10ms}}
      late: {between: [client, server], netem: {rate: 2mbit}, toward: {client: {delay: 300ms}}}
    """

    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-w", "20", "-v", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        server.stdin.close()
        options = ("-w", "20", "-v", "--trace", "/dev/stdout")
        options += ("--stack", "userspace(scheduler=roundrobin)")
        client = await lab.launcher.spawn("client", (*NC, *options, lab.address, "5001"))
        client.stdin.write(bytes(1))  # no join before the peer has confirmed data
        await subflow_joined(client)
        client.stdin.write(bytes(59_999))
        client.stdin.close()
        _, (status, _, complaint) = await asyncio.gather(ended(server), ended(client))
        assert status == 0, complaint
        total, *subflows = [int(octets) for octets in re.findall(r": sent (\d+)", complaint)]
        assert total == 60_000
        assert all(subflows)
        assert sum(subflows) >= total

    lab(resolve(loads_topology(topology)), Family.IPV4, test)


def test_an_interrupted_nc_resets_its_connection(lab):
    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-w", "20", "-v", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        client = await lab.launcher.spawn("client", (*NC, "-w", "20", "-v", lab.address, "5001"))
        for program in (client, server):
            assert b"connected" in await program.stderr.readline()
        await client.kill(signal.SIGINT)
        assert (await ended(client))[0] == 130
        status, _, complaint = await ended(server)
        assert status == 1
        assert "reset" in complaint
        for program in (client, server):
            program.stdin.close()

    lab([""], Family.IPV4, test)


@pytest.mark.parametrize("option", ["--trace", "--pcap"])
def test_on_a_full_disk_nc_carries_the_data_and_fails(lab, tmp_path, option):
    content = tmp_path / "content"
    content.write_bytes(random.Random(1).randbytes(300_000))

    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-w", "20", "-v", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        server.stdin.close()
        client = f"exec {' '.join(NC)} -w 20 {option} /dev/full {lab.address} 5001 < {content}"
        sending = await lab.launcher.spawn("client", ("sh", "-c", client))
        received, failed = await asyncio.gather(ended(server), ended(sending))
        assert (received[0], received[1]) == (0, content.read_bytes()), received[2]
        complaint = "testbed: /dev/full cannot be written: No space left on device\n"
        assert failed == (1, b"", complaint)

    lab(["", ""], Family.IPV4, test)


def test_further_local_addresses_become_subflows(lab):
    """-s sets the addresses, with any endpoints of the kernel's path manager."""

    async def test(lab):
        server = await lab.launcher.spawn("server", (*NC, "-w", "20", "-v", "-l", "5001"))
        assert b"listening" in await server.stderr.readline()
        sources = ("-s", "10.0.2.1", "-s", "10.0.1.1")
        client = await lab.launcher.spawn(
            "client", (*NC, "-w", "20", *sources, "--trace", "/dev/stdout", "10.0.2.2", "5001")
        )
        client.stdin.write(b"x")  # no join before the peer has confirmed data
        assert (await subflow_joined(client))["saddr"] == "10.0.1.1"
        client.stdin.close()
        server.stdin.close()
        for program in (client, server):
            status, written, complaint = await ended(program)
            assert status == 0, complaint
            assert b"sub_established" not in written

    lab(["", ""], Family.IPV4, test)


async def subflow_joined(program):
    """Wait until a subflow has joined; return its event from the trace on standard output."""
    while line := await program.stdout.readline():
        event = json.loads(line)
        if event["event"] == "sub_established":
            return event
    pytest.fail((await ended(program))[2])


def read(trace):
    """Return the events in a trace."""
    return [json.loads(line) for line in trace.read_text().splitlines()]


def test_without_mptcp_in_the_kernel_ours_works(lab):
    async def test(lab):
        off = [
            SetSysctl(namespace=node, key="net.mptcp.enabled", value="0")
            for node in ("client", "server")
        ]
        await lab.sandbox.execute(off)
        client, server = await lab.transfer("userspace", "userspace", MIB, subflows=2)
        assert client["received"] == server["sent"]

    lab(["", ""], Family.IPV4, test)
