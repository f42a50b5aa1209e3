"""Our stack on TUN interfaces, at addresses of its own, and the kernel that routes there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from testbed.errors import InputError, PlatformError
from testbed.host import endpoints
from testbed.host.devices.packets import PacketDevice
from testbed.host.devices.tun import TunDevice
from testbed.host.driver import Host
from testbed.netlink.transport import Netlink
from testbed.packet.address import Address
from testbed.sandbox import syscalls
from testbed.sandbox.netlink.links import read_links
from testbed.sockinfo import IPPROTO_MPTCP
from testbed.stack.mptcp.path_manager.base import PathLimits
from tests.interop.path_events import Traced
from tests.isolation import isolated

CONTROL: Final = Path("/dev/net/tun")
pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.root,  # the device file is root's alone where udev has not opened it to all
    pytest.mark.skipif(not CONTROL.exists(), reason=f"this kernel has no {CONTROL}"),
]

DATA: Final = random.Random(1).randbytes(2 * 2**20)
PORT: Final = 5001
RNG: Final = random.Random(8684)
FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


def kernels(version: int, number: int) -> str:
    """Return the kernel's address on a TUN interface."""
    return {4: f"10.9.{number}.1", 6: f"fd00:9:{number + 1}::1"}[version]


def ours(version: int, number: int) -> str:
    """Return the stack's address on a TUN interface."""
    return {4: f"10.9.{number}.2", 6: f"fd00:9:{number + 1}::2"}[version]


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def make_tuns(count: int, options: str = "") -> tuple[str, ...]:
    """Make TUN interfaces with addresses, and let the kernel's MPTCP take what it is offered."""
    ip("link set lo up")
    ip("mptcp limits set subflows 8 add_addr_accepted 8")
    for number in range(count):
        name = f"tun{number}"
        ip(f"tuntap add dev {name} mode tun {options}")
        ip(f"link set {name} up")  # set it up first: else Linux makes no route to an IPv6 peer
        for version in FAMILIES:
            near, far = kernels(version, number), ours(version, number)
            ip(f"address add {near} peer {far} dev {name}")
    return tuple(f"tun{number}" for number in range(count))


def make(
    protocol: str, version: int, count: int, traced: Traced, *, signal: bool = False
) -> endpoints.Make:
    if protocol == "tcp":
        return endpoints.tcp()
    further = [ours(version, number) for number in range(1, count)]
    config = endpoints.using(endpoints.MPTCP, further, signal=signal)
    limits = PathLimits(subflows=8, add_addr_accepted=8)
    both = msgspec.structs.replace(config, limits=limits, scheduler="roundrobin")
    return endpoints.mptcp(both, traced)


def kernel_socket(protocol: str, version: int) -> socket.socket:
    number = IPPROTO_MPTCP if protocol == "mptcp" else socket.IPPROTO_TCP
    sock = socket.socket(FAMILIES[version], socket.SOCK_STREAM, number)
    sock.settimeout(0)
    return sock


async def both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send all and receive all at the same time."""

    async def send() -> None:
        writer.write(DATA)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    came = await reader.read()
    await sending
    return came


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))  # type: ignore[arg-type]


async def paths_are(count: int, writer: asyncio.StreamWriter, traced: Traced) -> None:
    """Wait until so many subflows carry data."""
    connection = writer.get_extra_info("connection")
    if "subflows" in connection.info():
        await traced.until(lambda: sum(each.usable for each in connection.subflows) >= count)


def check_subflows(writer: asyncio.StreamWriter, protocol: str) -> None:
    """Check that all that was sent has gone over TCP, or over both subflows of MPTCP."""
    info: dict[str, Any] = writer.get_extra_info("connection").info()
    if protocol == "tcp":
        assert "subflows" not in info
        return
    assert not info["fallback"]
    subflows = [*info["ended"], *info["subflows"]]
    assert len({one["local"].rpartition(":")[0] for one in subflows}) == 2
    carried = [one["tcp"]["bytes_acked"] for one in subflows]
    assert min(carried) > len(DATA) // 20, carried


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "mptcp"])
@isolated
def test_our_client_and_the_kernels_server(version: int, protocol: str) -> None:
    count = 2 if protocol == "mptcp" else 1
    interfaces = make_tuns(count)

    async def main() -> None:
        with kernel_socket(protocol, version) as listening:
            listening.bind((kernels(version, 0), PORT))
            served: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                served.set_result(await both_ways(reader, writer))
                writer.close()

            async with await asyncio.start_server(serve, sock=listening):
                traced = Traced()
                endpoint = make(protocol, version, count, traced)
                host = Host(endpoint, device=TunDevice(interfaces, RNG))
                remote = Address(kernels(version, 0), PORT)
                reader, writer = await host.open_connection(remote)
                await paths_are(count, writer, traced)
                assert await both_ways(reader, writer) == DATA
                assert await served == DATA
                check_subflows(writer, protocol)
                writer.close()
                await host.finish()

    run(main)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "mptcp"])
@isolated
def test_the_kernels_client_and_our_server(version: int, protocol: str) -> None:
    count = 2 if protocol == "mptcp" else 1
    interfaces = make_tuns(count)

    async def main() -> None:
        traced = Traced()
        writers: list[asyncio.StreamWriter] = []
        served: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await paths_are(count, writer, traced)
            served.set_result(await both_ways(reader, writer))
            writer.close()

        endpoint = make(protocol, version, count, traced, signal=True)
        host = Host(endpoint, device=TunDevice(interfaces, RNG))
        any_host = {4: "0.0.0.0", 6: "::"}[version]
        server = await host.start_server(serve, Address(any_host, PORT))
        sock = kernel_socket(protocol, version)
        with contextlib.suppress(BlockingIOError):
            sock.connect((ours(version, 0), PORT))
        reader, writer = await asyncio.open_connection(sock=sock)
        assert await both_ways(reader, writer) == DATA
        assert await served == DATA
        check_subflows(writers[0], protocol)
        writer.close()
        server.close()
        await host.finish()

    run(main)


@pytest.mark.parametrize("version", [4, 6])
@isolated
def test_packet_sockets_on_an_interface_without_ethernet_headers(version: int) -> None:
    """One stack has the TUN interface itself, by the kernel's address; another one is behind it."""
    interfaces = make_tuns(1)

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        behind = Host(endpoints.tcp(), device=TunDevice(interfaces, RNG))
        here = Host(endpoints.tcp(), device=PacketDevice(RNG))
        for client, server, host in (
            (here, behind, ours(version, 0)),
            (behind, here, kernels(version, 0)),
        ):
            listening = await server.start_server(serve, Address(host, PORT))
            reader, writer = await client.open_connection(Address(host, PORT))
            assert await both_ways(reader, writer) == DATA
            writer.close()
            listening.close()
        await asyncio.gather(here.finish(), behind.finish())

    run(main)


@isolated
def test_an_ordinary_user_needs_no_capability() -> None:
    """Where udev has opened the device file to all, the owner of an interface may use it."""
    user = 65534
    interfaces = make_tuns(1, f"user {user}")
    everybodys = Path("/run/tun")
    os.mknod(everybodys, stat.S_IFCHR | 0o666, CONTROL.stat().st_rdev)
    everybodys.chmod(0o666)
    syscalls.mount(str(everybodys), str(CONTROL), flags=syscalls.MS_BIND)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    assert "CapEff:\t0000000000000000" in Path("/proc/self/status").read_text()

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        server = await asyncio.start_server(serve, kernels(4, 0), PORT)
        host = Host(endpoints.tcp(), device=TunDevice(interfaces, RNG))
        reader, writer = await host.open_connection(Address(kernels(4, 0), PORT))
        assert await both_ways(reader, writer) == DATA
        writer.close()
        await host.finish()
        server.close()

    run(main)


@isolated
def test_addresses_come_and_go_with_the_interfaces() -> None:
    interfaces = make_tuns(2)

    async def main() -> None:
        device = TunDevice(interfaces, RNG)
        host = Host(endpoints.tcp(), device=device)

        async def until(*wanted: str) -> None:
            # A poll: a device tells nobody but the driver that its addresses have changed.
            while set(host.hosts) != set(wanted):
                await asyncio.sleep(0.005)

        second = [ours(4, 1), ours(6, 1)]
        await until(ours(4, 0), ours(6, 0), *second)
        assert host.source_for(kernels(4, 1)) == ours(4, 1)
        assert host.source_for("192.0.2.1") == ours(4, 0)
        ip("link del tun0")
        await until(*second)
        assert host.source_for("192.0.2.1") == ours(4, 1)
        ip("address add 10.9.7.1 peer 10.9.7.2 dev tun1")
        await until(*second, "10.9.7.2")
        ip(f"address del {kernels(4, 1)} peer {ours(4, 1)} dev tun1")
        await until(ours(6, 1), "10.9.7.2")
        with pytest.raises(ConnectionRefusedError):
            await host.open_connection(Address("10.9.7.1", PORT))
        host.close()

    run(main)


@isolated
def test_our_addresses_answer_pings() -> None:
    interfaces = make_tuns(1)

    async def main() -> None:
        host = Host(endpoints.tcp(), device=TunDevice(interfaces, RNG))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as pinging:
            pinging.settimeout(0)
            request = struct.pack("!BBHHH", 8, 0, 0xFFFF - 0x0800 - 7 - 2, 7, 2)
            answer = b""
            while not answer:  # the first may be lost: the interface has just got its carrier
                pinging.sendto(request, (ours(4, 0), 0))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        answer = await asyncio.get_running_loop().sock_recv(pinging, 100)
        assert answer[20:21] == b"\0"
        assert answer[24:] == request[4:]
        host.close()

    run(main)


@isolated
def test_an_interface_is_one_processs_at_a_time() -> None:
    interfaces = make_tuns(1)

    async def main() -> None:
        host = Host(endpoints.tcp(), device=TunDevice(interfaces, RNG))
        with pytest.raises(PlatformError, match="end the other process"):
            TunDevice(interfaces, RNG)
        host.close()
        TunDevice(interfaces, RNG).close()

    run(main)


@isolated
def test_an_interface_without_a_peer_gives_no_address() -> None:
    ip("tuntap add dev tun0 mode tun")
    ip("address add 10.9.0.1/24 dev tun0")

    async def main() -> None:
        with pytest.raises(InputError, match=r"ip address add .* peer .* dev tun0"):
            TunDevice(["tun0"], RNG)

    run(main)


@isolated
def test_a_sandbox_sees_interfaces_without_a_link_layer_address() -> None:
    (name,) = make_tuns(1)
    with Netlink() as netlink:
        (seen,) = (each for each in read_links(netlink) if each.name == name)
    assert (seen.kind, seen.mac) == ("tun", "")


@isolated
def test_nc_and_unmodified_programs_take_a_device() -> None:
    make_tuns(2)
    ip(f"mptcp endpoint add {ours(4, 1)} subflow")
    command = (sys.executable, "-m", "testbed")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as listening:
        listening.bind((kernels(4, 0), PORT))
        listening.listen()

        def serve() -> bytes:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as stream:
                return stream.read()

        stack = ("--stack", "userspace(device=tun0+tun1)")
        nc = (*command, "nc", "-v", *stack, kernels(4, 0), str(PORT))
        with subprocess.Popen(nc, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            assert program.stdin is not None
            program.stdin.write(DATA)
            program.stdin.close()
            assert serve() == DATA
            assert program.stderr is not None
            said = program.stderr.read().decode()
        assert f" {ours(4, 0)}:" in said
        assert f" {ours(4, 1)}:" in said
        assert "MPTCP, 2 subflows" in said
        client = (
            "import socket, sys; s = socket.create_connection(('10.9.0.1', 5001));"
            "print(s.getsockname()[0]); s.sendall(b'hello')"
        )
        with_stack = ("with-stack", "userspace(device=tun1)", "--", sys.executable, "-c", client)
        with subprocess.Popen((*command, *with_stack), stdout=subprocess.PIPE) as program:
            assert serve() == b"hello"
            assert program.stdout is not None
            assert program.stdout.read() == f"{ours(4, 1)}\n".encode()


@isolated
def test_nc_names_the_interface_that_was_deleted_while_it_waited() -> None:
    make_tuns(1)
    with socket.socket() as listening:
        listening.bind((kernels(4, 0), PORT))
        listening.listen()
        stack = ("--stack", "userspace-tcp(device=tun0)")
        nc = (sys.executable, "-m", "testbed", "nc", "-w", "1", *stack, kernels(4, 0), str(PORT))
        with subprocess.Popen(nc, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            connection, _ = listening.accept()
            ip("link del tun0")
            assert program.stderr is not None
            said = program.stderr.read().decode()
            connection.close()
    assert "nothing happened for 1 s while waiting for data; deleted meanwhile: tun0" in said


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("count", [1, 2])
@isolated
def test_the_kernels_mptcp_sees_a_reset_when_a_supervisor_is_killed(
    version: int, count: int
) -> None:
    interfaces = make_tuns(count)
    for number in range(1, count):
        ip(f"mptcp endpoint add {ours(version, number)} subflow")
    stack = f"userspace(device={'+'.join(interfaces)})"
    host = kernels(version, 0)
    watched, killing = (
        (sys.executable, Path(__file__).with_name("programs") / name, *arguments)
        for name, arguments in (
            ("watched.py", ("serve", host, str(PORT))),
            ("killing.py", ("joined", str(count), host, str(PORT))),
        )
    )
    piped: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(watched, **piped) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "ready\n"
        over = (sys.executable, "-m", "testbed", "with-stack", stack, "--", *killing)
        with subprocess.Popen(over, **piped) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "about to\n"
            program.communicate("\n", timeout=30)
        assert program.returncode == -9
        said, _ = watching.communicate(timeout=30)
        assert json.loads(said) == [{"tag": "g-", "ended": False, "error": errno.ECONNRESET}]
