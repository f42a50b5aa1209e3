"""Two hosts, two paths, and whatever may happen on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast

import msgspec
import pytest

from testbed import document
from testbed.sim.endpoints import ENDPOINTS
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


class End(msgspec.Struct):
    """What one end sent and saw; ``error`` is None after an orderly end."""

    sent: bytes
    received: bytes = b""
    error: OSError | None = None
    view: dict[str, Any] = {}

    def check(self, peer: End) -> None:
        """What arrives is a beginning of what was sent; after an orderly end, all of it."""
        assert peer.sent.startswith(self.received)
        if self.error is None:
            assert len(self.received) == len(peer.sent)


class Change(msgspec.Struct, frozen=True):
    """Something that happens to a link."""

    at_s: float
    link: str
    what: str  # down, up, blackhole, light

    def operations(self, topology: Topology) -> Sequence[AnyOperation]:
        if self.what in ("down", "up"):
            return (changes.link_down if self.what == "down" else changes.link_up)(
                topology, self.link
            )
        loss = "100%" if self.what == "blackhole" else "none"
        return changes.shape(topology, self.link, None, {"loss": loss})


class Trial:
    """One transfer both ways at once.

    :param netem: options of each link.
    :param boxes: middleboxes of each link.
    """

    def __init__(
        self,
        stack: str,
        *,
        netem: dict[str, str] | None = None,
        boxes: Callable[[Network], dict[str, Sequence[Middlebox]]] | None = None,
        changes: Sequence[Change] = (),
        sizes: tuple[int, int] = (200_000, 100_000),
        seed: int = 1,
    ) -> None:
        options = {"wifi": "rate 20mbit delay 5ms limit 50", "lte": "rate 30mbit delay 15ms"}
        spec = {
            "nodes": {"client": {}, "server": {}},
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
        self.client, self.server = (End(random.randbytes(size)) for size in sizes)
        self._accepted = False
        self._seed = seed

    def run(self) -> Trial:
        """Run it, and check what must be true whatever happens."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._main())
        if self._accepted:
            self.client.check(self.server)
            self.server.check(self.client)
        else:
            assert self.client.error is not None
        return self

    def succeeded(self) -> bool:
        return self._accepted and self.client.error is self.server.error is None

    async def _main(self) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        network = Network(self._topology, ENDPOINTS[self._stack], loop=loop, seed=self._seed)
        for link, boxes in (self._boxes(network) if self._boxes else {}).items():
            network.insert(link, *boxes)
        for change in self._changes:
            at = round(change.at_s * 1e9)
            loop.at(at, lambda _, change=change: network.execute(change.operations(self._topology)))
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


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> None:
    """Send, and receive at the same time, until both directions have ended."""

    async def send() -> None:
        for at in range(0, len(end.sent), 50_000):
            writer.write(end.sent[at : at + 50_000])
            await writer.drain()
        writer.write_eof()

    async def receive() -> None:
        while data := await reader.read(100_000):
            end.received += data

    outcomes = await asyncio.gather(send(), receive(), return_exceptions=True)
    end.view = writer.get_extra_info("connection").info()
    errors = [outcome for outcome in outcomes if outcome is not None]
    for error in errors:
        if not isinstance(error, OSError):
            raise error
    writer.close()
    try:
        await writer.wait_closed()
    except OSError as error:
        errors.append(error)
    end.error = next((each for each in errors if isinstance(each, OSError)), None)


@pytest.fixture(params=["userspace-tcp", "userspace"])
def stack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def trial() -> type[Trial]:
    return Trial
