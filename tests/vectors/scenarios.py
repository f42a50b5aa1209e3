"""Small MPTCP connections of the kernel's, each of which makes it send some kind of option."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import msgspec

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.codec import emit, parse
from testbed.packet.options import Option, Timestamps, find
from testbed.packet.segment import ACK, PSH, Segment
from testbed.sandbox import Sandbox, syscalls
from testbed.sandbox.attach import Entrance
from testbed.sockinfo import IPPROTO_MPTCP
from testbed.topology.model import Endpoint, EndpointFlag, Limits, Neighbour
from testbed.topology.operations import (
    AddAddress,
    AddEndpoint,
    AddNamespace,
    AddNeighbour,
    AddVeth,
    AnyOperation,
    RemoveEndpoint,
    SetLimits,
    SetSysctl,
    VethEnd,
)

HOSTS: Final = {"client": 1, "server": 2}
PORT: Final = 4000
PATIENCE_S: Final = 10.0
_ETH_P_ALL: Final = 3
_IP_TYPES: Final = (0x0800, 0x86DD)
# A subflow from the second address to the peer's first one comes and goes on different paths.
_BOTH_WAYS: Final = {f"net.ipv4.conf.{which}.rp_filter": "0" for which in ("all", "default")}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What to do on which hosts.

    :param version: of IP.
    :param sysctls: of both hosts.
    """

    run: Callable[[Lab], Awaitable[None]]
    version: int = 4
    sysctls: dict[str, str] = {}


def host_address(version: int, path: int, node: str) -> str:
    """Return a node's address on one of the two paths."""
    template = "10.0.{}.{}" if version == 4 else "fd00:0:0:{}::{}"
    return template.format(path, HOSTS[node])


def network(scenario: Scenario) -> Iterator[AnyOperation]:
    """Two hosts, two paths, addresses of one version."""
    for node in HOSTS:
        yield AddNamespace(namespace=node)
        yield SetLimits(namespace=node, limits=Limits(subflows=4, add_addr_accepted=4))
        for key, value in (_BOTH_WAYS | scenario.sysctls).items():
            yield SetSysctl(namespace=node, key=key, value=value)
    prefix = 24 if scenario.version == 4 else 64
    for path in (1, 2):
        macs = {node: f"02:00:00:00:0{path}:0{HOSTS[node]}" for node in HOSTS}
        a, b = (
            VethEnd(namespace=node, interface=f"eth{path}", mac=macs[node], mtu=1500)
            for node in HOSTS
        )
        yield AddVeth(a=a, b=b)
        for node, other in (("client", "server"), ("server", "client")):
            here, there = (host_address(scenario.version, path, name) for name in (node, other))
            yield AddAddress(namespace=node, interface=f"eth{path}", address=f"{here}/{prefix}")
            yield AddNeighbour(
                namespace=node,
                neighbour=Neighbour(interface=f"eth{path}", address=there, mac=macs[other]),
            )


class Lab:
    """The hosts of one scenario, and everything they have sent since they exist."""

    def __init__(self, sandbox: Sandbox, entrances: dict[str, Entrance], version: int) -> None:
        self.sandbox = sandbox
        self.version = version
        self.packets: list[bytes] = []
        self._injected = b""
        self._entrances = entrances
        with self._inside("client"):
            self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._open = [self._tap]

    @classmethod
    @contextlib.asynccontextmanager
    async def create(cls, scenario: Scenario) -> AsyncIterator[Lab]:
        """Build the network of a scenario; it is gone afterwards."""
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(network(scenario))
            entrances = {node: await sandbox.entrance(node) for node in HOSTS}
            lab = cls(sandbox, entrances, scenario.version)
            try:
                yield lab
                lab.drain()
            finally:
                lab.close()

    def close(self) -> None:
        """Let go of the namespaces."""
        for one in self._open:
            one.close()
        for entrance in self._entrances.values():
            entrance.close()

    async def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection over the first path, after data went both ways."""
        family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        with self._inside("server"):
            listener = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
        with self._inside("client"):
            client = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
        for one in (listener, client):
            one.settimeout(PATIENCE_S)
        listener.bind(("", PORT))
        listener.listen()
        client.connect((host_address(self.version, 1, "server"), PORT))
        server, _ = listener.accept()
        server.settimeout(PATIENCE_S)
        self._open += [listener, client, server]
        transfer(client, server)
        transfer(server, client)
        return client, server

    async def endpoint(
        self, node: str, identity: int, *flags: str, port: int | None = None
    ) -> None:
        """Add the node's address on the second path as an endpoint of the path manager."""
        address = host_address(self.version, 2, node)
        await self.sandbox.execute(
            [
                AddEndpoint(
                    namespace=node,
                    endpoint=Endpoint(
                        address=address,
                        id=identity,
                        interface="",
                        flags=tuple(map(EndpointFlag, flags)),
                        port=port,
                    ),
                )
            ]
        )

    async def ip(self, node: str, *words: str) -> None:
        """Run ip(8) on a node."""
        process = await self.sandbox.spawn(node, ["ip", *words])
        ended = await process.wait(PATIENCE_S)
        assert ended.returncode == 0, words

    def await_option(self, kind: type[Option], count: int = 1) -> Segment:
        """Wait until so many segments with an option of a class were there; return the last."""
        while True:
            self.drain()
            found = [
                segment
                for segment in map(parse, self.packets)
                if find(segment.options, kind) is not None
            ]
            if len(found) >= count:
                return found[count - 1]
            ready, _, _ = select.select([self._tap], [], [], PATIENCE_S)
            assert ready, f"no {kind.__name__} within {PATIENCE_S} s"

    def drain(self) -> None:
        """Take what was captured up to now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, where = self._tap.recvfrom(0x10000, socket.MSG_DONTWAIT)
                is_tcp = where[1] in _IP_TYPES and packet[9 if packet[0] >> 4 == 4 else 6] == 6
                if is_tcp and packet != self._injected:
                    self.packets.append(packet)

    def inject(self, node: str, segment: Segment) -> None:
        """Put a segment on the first path, as if a node had sent it."""
        with self._inside(node):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        peer = next(host for name, host in HOSTS.items() if name != node)
        self._injected = emit(segment)
        with raw:
            raw.sendto(self._injected, ("eth1", _IP_TYPES[0], 0, 0, bytes((2, 0, 0, 0, 1, peer))))

    def syn(self) -> Segment:
        """Return the first segment of all."""
        self.drain()
        return parse(self.packets[0])

    def next_from(self, source: Address) -> Segment:
        """Return the segment an end would send next on its flow, without MPTCP options."""
        self.drain()
        segments = [parse(packet) for packet in self.packets]
        sent = [one for one in segments if one.source == source]
        last = max(sent, key=lambda one: (one.seq + one.length - sent[0].seq) % 2**32)
        return msgspec.structs.replace(
            sent[-1],
            seq=(last.seq + last.length) % 2**32,
            flags=ACK | PSH,
            options=tuple(option for option in last.options if option.kind == Timestamps.kind),
            payload=b"",
        )

    def data_ack_of(self, source: Address) -> int:
        """Return the latest Data ACK of 64 bits that an end has sent on its flow."""
        self.drain()
        sent = [one for one in map(parse, self.packets) if one.source == source]
        signals = [dss for one in sent if (dss := find(one.options, mptcp.Dss)) is not None]
        acks: list[int] = [
            dss.data_ack for dss in signals if dss.data_ack is not None and dss.wide_ack
        ]
        return acks[-1]

    @contextlib.contextmanager
    def _inside(self, node: str) -> Iterator[None]:
        """Be in a node's network namespace: sockets made there stay there."""
        with open("/proc/self/ns/net", "rb") as outside:  # noqa: PTH123 - a descriptor is wanted
            syscalls.setns(self._entrances[node].network)
            try:
                yield
            finally:
                syscalls.setns(outside.fileno())


def transfer(sender: socket.socket, receiver: socket.socket) -> None:
    """Send a few octets and take them."""
    sender.sendall(b"hello")
    assert receiver.recv(5, socket.MSG_WAITALL) == b"hello"


async def close(lab: Lab) -> None:
    """Data both ways, then DATA_FIN both ways."""
    client, server = await lab.connect()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    transfer(server, client)
    server.close()
    assert client.recv(1) == b""
    client.close()


async def subflow(lab: Lab) -> None:
    """The client joins from its second address, makes that a backup, and removes it."""
    await lab.endpoint("client", 7, "subflow")
    client, server = await lab.connect()
    lab.await_option(mptcp.MpJoinAck)
    transfer(client, server)
    await lab.ip("client", "mptcp", "endpoint", "change", "id", "7", "backup")
    lab.await_option(mptcp.MpPrio)
    await lab.ip("client", "mptcp", "endpoint", "change", "id", "7", "nobackup")
    lab.await_option(mptcp.MpPrio, 2)
    await lab.sandbox.execute([RemoveEndpoint(namespace="client", id=7)])
    lab.await_option(mptcp.RemoveAddr)
    transfer(client, server)


async def backup(lab: Lab) -> None:
    """The client joins with a backup; so says the server's endpoint too."""
    await lab.endpoint("server", 9, "signal", "backup")
    await lab.endpoint("client", 7, "subflow", "backup")
    client, server = await lab.connect()
    lab.await_option(mptcp.MpJoinAck, 2)
    transfer(client, server)


async def signal(lab: Lab) -> None:
    """The server announces an address, and takes it back."""
    await lab.endpoint("server", 3, "signal")
    client, server = await lab.connect()
    lab.await_option(mptcp.AddAddr, 2)
    lab.await_option(mptcp.MpJoinAck)
    await lab.sandbox.execute([RemoveEndpoint(namespace="server", id=3)])
    lab.await_option(mptcp.RemoveAddr)
    transfer(client, server)


async def signal_port(lab: Lab) -> None:
    """The server announces an address with a port of its own, which the client joins."""
    await lab.endpoint("server", 3, "signal", port=4001)
    client, server = await lab.connect()
    lab.await_option(mptcp.AddAddr, 2)
    lab.await_option(mptcp.MpJoinAck)
    transfer(client, server)


async def flush(lab: Lab) -> None:
    """The client announces several addresses and takes them back at once."""
    for number in ("4", "5", "6"):
        endpoint = (f"10.0.2.{number}", "id", number, "signal")
        await lab.ip("client", "mptcp", "endpoint", "add", *endpoint)
    client, server = await lab.connect()
    lab.await_option(mptcp.AddAddr, 6)  # each with its echo
    await lab.ip("client", "mptcp", "endpoint", "flush")
    lab.await_option(mptcp.RemoveAddr)
    transfer(client, server)


async def fastclose(lab: Lab) -> None:
    """The client aborts: SO_LINGER of zero seconds."""
    client, server = await lab.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    lab.await_option(mptcp.MpFastclose)
    server.close()


async def refused_join(lab: Lab) -> None:
    """The server takes no subflow: it answers the join with MP_TCPRST."""
    await lab.sandbox.execute(
        [SetLimits(namespace="server", limits=Limits(subflows=0, add_addr_accepted=0))]
    )
    await lab.endpoint("client", 7, "subflow")
    await lab.connect()
    lab.await_option(mptcp.MpTcprst)


async def corrupted(lab: Lab) -> None:
    """Data whose checksum is wrong on the only subflow: MP_FAIL."""
    await lab.connect()
    lab.inject("client", with_wrong_checksum(lab))
    lab.await_option(mptcp.MpFail)


async def corrupted_subflow(lab: Lab) -> None:
    """The same where there is another subflow: this one is reset."""
    await lab.endpoint("client", 7, "subflow")
    client, server = await lab.connect()
    lab.await_option(mptcp.MpJoinAck)
    transfer(client, server)
    lab.inject("client", with_wrong_checksum(lab))
    lab.await_option(mptcp.MpFail)


def with_wrong_checksum(lab: Lab) -> Segment:
    """Return what the client would send next on the first subflow, its DSS checksum wrong."""
    syn = lab.syn()
    segment = lab.next_from(syn.source)
    dss = mptcp.Dss(
        dsn=lab.data_ack_of(syn.destination),
        subflow_seq=(segment.seq - syn.seq) % 2**32,
        length=5,
        checksum=0xBAD,
    )
    options = (*segment.options, dss)
    return msgspec.structs.replace(segment, options=options, payload=b"wrong")


async def told_of_corruption(lab: Lab) -> None:
    """The client hears that its checksums fail: from then on its mapping is infinite."""
    client, server = await lab.connect()
    syn = lab.syn()
    segment = lab.next_from(syn.destination)
    fail = mptcp.MpFail(dsn=lab.data_ack_of(syn.destination))
    lab.inject("server", msgspec.structs.replace(segment, options=(*segment.options, fail)))
    transfer(client, server)


_CHECKSUM: Final = {"net.mptcp.checksum_enabled": "1"}
_NO_JOIN: Final = {"net.mptcp.allow_join_initial_addr_port": "0"}
# The kernel has no room for an IPv6 address and a port beside timestamps.
_NO_TIMESTAMPS: Final = {"net.ipv4.tcp_timestamps": "0"}

SCENARIOS: Final = {
    "close": Scenario(run=close),
    "close with checksums": Scenario(run=close, sysctls=_CHECKSUM),
    "close, IPv6": Scenario(run=close, version=6),
    "no joins to the first address": Scenario(run=close, sysctls=_NO_JOIN),
    "subflow": Scenario(run=subflow),
    "subflow, IPv6": Scenario(run=subflow, version=6),
    "backup with checksums": Scenario(run=backup, sysctls=_CHECKSUM),
    "signal": Scenario(run=signal),
    "signal, IPv6": Scenario(run=signal, version=6),
    "signal with a port": Scenario(run=signal_port),
    "signal with a port, IPv6": Scenario(run=signal_port, version=6, sysctls=_NO_TIMESTAMPS),
    "flush": Scenario(run=flush),
    "fastclose": Scenario(run=fastclose),
    "refused join": Scenario(run=refused_join),
    "corrupted": Scenario(run=corrupted, sysctls=_CHECKSUM),
    "told of corruption": Scenario(run=told_of_corruption, sysctls=_CHECKSUM),
    "corrupted subflow": Scenario(run=corrupted_subflow, sysctls=_CHECKSUM),
}
