"""A transfer both ways at once between the two hosts of a simulated network."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from testbed.middlebox.base import Middlebox
from testbed.packet.address import Address
from testbed.sim.host import EndpointFactory, Host
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.topology import changes
from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation
from tests.exchange import End, exchange

PORT: Final = 5001
LIMIT_S: Final = 7200  # in virtual time: more than all time-outs of a connection together

Boxes = Callable[[Network], Mapping[str, Sequence[Middlebox]]]  # the boxes of each link
Change = tuple[float, str, str]  # time in seconds, link, change


class Transfer:
    """A connection of the node ``client`` to the node ``server``, and a stream each way.

    :param boxes: makes the middleboxes.
    :param happen: what befalls links.
    :ivar accepted: the server has accepted the connection.
    """

    def __init__(
        self,
        topology: Topology,
        endpoint_of: EndpointFactory,
        client: End,
        server: End,
        *,
        boxes: Boxes = lambda _: {},
        happen: Sequence[Change] = (),
        seed: int = 1,
    ) -> None:
        self.client = client
        self.server = server
        self.accepted = False
        self._topology = topology
        self._endpoint_of = endpoint_of
        self._boxes = boxes
        self._happen = happen
        self._seed = seed

    def run(self, address: str) -> None:
        """Run it to its end; ``error`` of both ends tells how that was.

        :param address: of the server, to connect to.
        """
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._main(address))

    async def _main(self, address: str) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        network = Network(self._topology, self._endpoint_of, loop=loop, seed=self._seed)
        for link, boxes in self._boxes(network).items():
            network.insert(link, *boxes)
        for at_s, link, what in self._happen:
            change = _operations(self._topology, link, what)
            loop.agenda.at(round(at_s * 1e9), functools.partial(_apply, network, change))
        client, server = network.hosts["client"], network.hosts["server"]
        serving: list[asyncio.Task[None]] = []

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepted = True
            serving.append(asyncio.ensure_future(exchange(reader, writer, self.server)))

        async with asyncio.timeout(LIMIT_S):
            any_host = "::" if ":" in address else "0.0.0.0"
            listening = await server.listen(accepted, Address(any_host, PORT))
            await self._connect(client, address)
            await asyncio.gather(*serving)
            listening.close()
            for host in (client, server):
                await host.streams.finished()

    async def _connect(self, client: Host, address: str) -> None:
        try:
            reader, writer = await client.connect(Address(address, PORT))
        except OSError as error:
            self.client.error = error
        else:
            await exchange(reader, writer, self.client)


def server_address(topology: Topology, *, ipv6: bool = False) -> str | None:
    """Return the server's first address of a family."""
    for interface in topology.node("server").interfaces:
        for address in interface.addresses:
            if (":" in address) == ipv6:
                return address.partition("/")[0]
    return None


def _operations(topology: Topology, link: str, what: str) -> Sequence[AnyOperation]:
    """Return how a link goes ``down`` or ``up``, becomes a ``blackhole`` or lets ``light`` out."""
    if what == "down":
        return changes.link_down(topology, link)
    if what == "up":
        return changes.link_up(topology, link)
    loss = "100%" if what == "blackhole" else "none"
    return changes.shape(topology, link, None, {"loss": loss})


def _apply(network: Network, change: Sequence[AnyOperation], _: int) -> None:
    network.execute(change)
