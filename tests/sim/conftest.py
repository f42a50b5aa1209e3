"""Two hosts, two paths, and whatever may happen on them."""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Callable, Sequence
from random import Random
from typing import cast

import msgspec
import pytest

from testbed import document
from testbed.sim import endpoints
from testbed.sim.host import Host
from testbed.sim.loop import VirtualLoop
from testbed.sim.middlebox import Middlebox
from testbed.sim.network import Network
from testbed.stack.packet.address import Address
from testbed.topology import changes
from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec

PORT = 5001
LIMIT_S = 7200  # of virtual time: more than all time-outs of a connection together


# Who only waits for data does not notice that the peer is gone, unless it asks.
ASKING = msgspec.structs.replace(endpoints.DEFAULT, keepalive=True, keepalive_idle_ns=60 * 10**9)
MPTCP = endpoints.mptcp(msgspec.structs.replace(endpoints.MPTCP, tcp=ASKING))
STACKS = {
    "userspace": MPTCP,
    "checksums": MPTCP,  # the same, with DSS checksums
    "userspace-tcp": endpoints.tcp(ASKING),
}


class End(msgspec.Struct):
    """What one end has to send, has to receive, and got.

    :param restore: makes of what has come what was sent, where a box on the way changes it.
    :param error: None after an orderly end.
    """

    sent: bytes
    expected: bytes
    received: int = 0
    restore: Callable[[bytes], bytes] | None = None
    changed: bytes = b""
    error: OSError | None = None

    def take(self, data: bytes) -> None:
        """Check that this is what comes next."""
        if self.restore is not None:
            self.changed += data
            return
        start, self.received = self.received, self.received + len(data)
        assert data == self.expected[start : self.received]

    def check(self) -> None:
        """Check that an orderly end comes after everything."""
        if self.restore is not None and self.error is None:
            restored = self.restore(self.changed)
            assert restored == self.expected
            self.received = len(restored)
        assert self.error is not None or self.received == len(self.expected)


Change = tuple[float, str, str]  # at how many seconds, which link, what happens to it


def operations(topology: Topology, link: str, what: str) -> Sequence[AnyOperation]:
    """Return how a link goes ``down`` or ``up``, becomes a ``blackhole`` or lets ``light`` out."""
    if what == "down":
        return changes.link_down(topology, link)
    if what == "up":
        return changes.link_up(topology, link)
    loss = "100%" if what == "blackhole" else "none"
    return changes.shape(topology, link, None, {"loss": loss})


class Trial:
    """One transfer both ways at once.

    :param netem: options of each link.
    :param boxes: middleboxes of each link.
    :param sizes: how many octets each end sends, the client first; or the octets.
    :param restore: see :class:`End`.
    """

    def __init__(
        self,
        stack: str,
        *,
        netem: dict[str, str] | None = None,
        boxes: Callable[[Network], dict[str, Sequence[Middlebox]]] | None = None,
        changes: Sequence[Change] = (),
        sizes: tuple[int | bytes, int | bytes] = (200_000, 100_000),
        restore: Callable[[bytes], bytes] | None = None,
        seed: int = 1,
    ) -> None:
        options = {"wifi": "rate 20mbit delay 5ms limit 50", "lte": "rate 30mbit delay 15ms"}
        spec = {
            "nodes": {"client": {}, "server": {}},
            "sysctls": {"net.mptcp.checksum_enabled": int(stack == "checksums")},
            "links": {
                link: {
                    "between": ["client", "server"],
                    "netem": f"{options[link]} {(netem or {}).get(link, '')}".strip(),
                }
                for link in options
            },
        }
        raw = document.convert(spec, TopologySpec, document.Positions({}), "trial")
        self._topology = resolve(raw)
        self._stack = stack
        self._boxes = boxes
        self._changes = changes
        random = Random(seed)
        there, back = (
            size if isinstance(size, bytes) else random.randbytes(size) for size in sizes
        )
        self.client = End(there, back, restore=restore)
        self.server = End(back, there, restore=restore)
        self._accepted = False
        self._seed = seed

    def run(self) -> Trial:
        """Run it, and check what must be true whatever happens."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._main())
        for end in (self.client, self.server):
            assert end.error is None or end.error.errno != errno.EIO  # a fault in the stack
        if self._accepted:
            self.client.check()
            self.server.check()
        else:
            assert self.client.error is not None
        return self

    def succeeded(self) -> bool:
        return self._accepted and self.client.error is self.server.error is None

    async def _main(self) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        network = Network(self._topology, STACKS[self._stack], loop=loop, seed=self._seed)
        for link, boxes in (self._boxes(network) if self._boxes else {}).items():
            network.insert(link, *boxes)
        for at_s, link, what in self._changes:
            change = operations(self._topology, link, what)
            loop.at(round(at_s * 1e9), functools.partial(_apply, network, change))
        client, server = network.hosts["client"], network.hosts["server"]
        serving: list[asyncio.Task[None]] = []

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accepted = True
            serving.append(asyncio.ensure_future(_exchange(reader, writer, self.server)))

        async with asyncio.timeout(LIMIT_S):
            listening = await server.listen(accepted, Address("0.0.0.0", PORT))
            await self._connect(client)
            await asyncio.gather(*serving)
            listening.close()
            for host in (client, server):
                await host.streams.finished()

    async def _connect(self, client: Host) -> None:
        [address] = [
            each.partition("/")[0]
            for each in self._topology.node("server").interfaces[0].addresses
            if ":" not in each
        ]
        try:
            reader, writer = await client.connect(Address(address, PORT))
        except OSError as error:
            self.client.error = error
        else:
            await _exchange(reader, writer, self.client)


def _apply(network: Network, change: Sequence[AnyOperation], _: int) -> None:
    network.execute(change)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> None:
    """Send, and receive at the same time, until both directions have ended."""

    async def send() -> None:
        for at in range(0, len(end.sent), 50_000):
            writer.write(end.sent[at : at + 50_000])
            await writer.drain()
        writer.write_eof()

    async def receive() -> None:
        while data := await reader.read(100_000):
            end.take(data)

    try:
        outcomes = await asyncio.gather(send(), receive(), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, OSError):
                end.error = outcome
            elif outcome is not None:
                raise outcome
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        end.error = error
    finally:
        writer.transport.abort()


@pytest.fixture(params=["userspace-tcp", "userspace", "checksums"])
def stack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def trial() -> type[Trial]:
    return Trial
