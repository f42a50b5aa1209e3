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
from tests.exchange import End, exchange

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
            serving.append(asyncio.ensure_future(exchange(reader, writer, self.server)))

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
            await exchange(reader, writer, self.client)


def _apply(network: Network, change: Sequence[AnyOperation], _: int) -> None:
    network.execute(change)


@pytest.fixture(params=["userspace-tcp", "userspace", "checksums"])
def stack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def trial() -> type[Trial]:
    return Trial
