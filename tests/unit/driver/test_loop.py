"""The loop over devices in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, cast

import pytest

from testbed.driver.device import Change
from testbed.driver.loop import Driver
from testbed.driver.memory import MemoryDevice
from testbed.packet.address import Address, Flow
from testbed.packet.segment import Segment
from testbed.sim.host import VirtualClock
from testbed.sim.loop import VirtualLoop
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint

HERE, THERE = "10.0.0.1", "10.0.0.2"
FLOW = Flow(Address(HERE, 40_000), Address(THERE, 80))
DATA = bytes(range(256)) * 1000


class Station:
    """A driver with its device."""

    def __init__(self, host: str, *, mptcp: bool = False) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        self.reported: list[tuple[str, Exception]] = []
        self.device = MemoryDevice([host], lambda segment, now: self.carry(segment))
        self.driver = Driver(
            VirtualClock(loop.agenda), self.device, lambda *told: self.reported.append(told)
        )
        self.carry: Callable[[Segment], object] = lambda _: None
        local = Local(host)
        rng = Random(host)
        secret = rng.randbytes(16)
        self.driver.begin(
            MptcpEndpoint(MptcpConfig(), rng, secret, local)
            if mptcp
            else TcpEndpoint(TcpConfig(), secret)
        )


class Local:
    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def source_for(self, remote_host: str) -> str | None:
        return self.hosts[0]

    def port_for(self, local_host: str, remote: Address) -> int:
        raise OSError

    def release_port(self, local: Address) -> None:
        pass


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


async def exchange(client: Station, server: Station, flow: Flow = FLOW) -> bytes:
    await server.driver.streams.start_server(echo, flow.remote)
    reader, writer = await client.driver.streams.open_connection(flow)
    writer.write(DATA)
    writer.write_eof()
    came = await reader.read()
    writer.close()
    await client.driver.streams.finished()
    return came


def in_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


@pytest.mark.parametrize("mptcp", [False, True])
def test_two_endpoints_talk_over_devices_in_memory(mptcp: bool) -> None:
    async def main() -> None:
        client, server = (Station(host, mptcp=mptcp) for host in (HERE, THERE))
        client.carry, server.carry = server.device.deliver, client.device.deliver
        assert await exchange(client, server) == DATA
        assert not client.reported + server.reported

    in_virtual_time(main())


def test_an_endpoint_talks_to_itself() -> None:
    """Packets that a device returns while it sends are received in the same turn."""

    async def main() -> None:
        alone = Station(HERE)
        alone.carry = alone.device.deliver
        flow = Flow(Address(HERE, 40_000), Address(HERE, 80))
        assert await exchange(alone, alone, flow) == DATA

    in_virtual_time(main())


def test_a_segment_that_cannot_be_sent_takes_nothing_from_others() -> None:
    async def main() -> None:
        client, server = Station(HERE), Station(THERE)
        server.carry = client.device.deliver
        left = iter(range(1000))

        def carry(segment: Segment) -> None:
            if segment.payload and next(left) == 3:
                raise RuntimeError("a fault of the network")
            server.device.deliver(segment)

        client.carry = carry
        assert await exchange(client, server) == DATA
        ((what, error),) = client.reported
        assert what == "a segment to the network"
        assert str(error) == "a fault of the network"

    in_virtual_time(main())


def test_a_packet_that_cannot_be_handled_takes_nothing_from_others() -> None:
    async def main() -> None:
        client, server = Station(HERE), Station(THERE)
        client.carry = server.device.deliver

        def carry(segment: Segment) -> None:
            client.device.deliver(cast("Segment", None))
            client.device.deliver(segment)

        server.carry = carry
        assert await exchange(client, server) == DATA
        assert {what for what, _ in client.reported} == {"a packet from the network"}

    in_virtual_time(main())


def test_time_passes_until_the_endpoint_has_something_to_do() -> None:
    """SYN is sent again at its own time, though the driver is woken before."""

    async def main() -> None:
        client = Station(HERE)
        sent: list[int] = []
        client.carry = lambda _: sent.append(client.driver.now())
        opening = asyncio.ensure_future(client.driver.streams.open_connection(FLOW))
        await asyncio.sleep(0.4)
        client.driver.wake()
        await asyncio.sleep(2.7)
        opening.cancel()
        assert [now // 1_000_000 for now in sent] == [0, 1000, 3000]

    in_virtual_time(main())


def test_a_driver_that_is_closed_does_nothing() -> None:
    async def main() -> None:
        client = Station(HERE)
        sent: list[Segment] = []
        client.carry = sent.append
        opening = asyncio.ensure_future(client.driver.streams.open_connection(FLOW))
        await asyncio.sleep(0.1)
        client.driver.close()
        client.device.deliver(sent[0])
        client.driver.wake()
        await asyncio.sleep(10)
        opening.cancel()
        assert len(sent) == 1

    in_virtual_time(main())


class Aware(TcpEndpoint):
    """Records reports about addresses."""

    def __init__(self) -> None:
        super().__init__(TcpConfig(), bytes(16))
        self.told: list[str] = []

    def address_added(self, host: str, now: int) -> None:
        self.told.append(f"{host} added")

    def address_removed(self, host: str, now: int) -> None:
        self.told.append(f"{host} removed")

    def carrier_lost(self, host: str, now: int) -> None:
        self.told.append(f"{host} silent")

    def carrier_returned(self, host: str, now: int) -> None:
        self.told.append(f"{host} heard")


@pytest.mark.interpreted
def test_an_endpoint_is_told_of_addresses() -> None:
    async def main() -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        device = MemoryDevice(["a", "b"], lambda *_: None)
        aware = Aware()
        Driver(VirtualClock(loop.agenda), device, lambda *_: None).begin(aware)
        device.addresses_are(["b", "c"], silent=["b"])
        assert aware.told == ["a removed", "c added", "b silent"]
        assert device.hosts == ("b", "c")
        device.addresses_are(["b", "c"])
        assert aware.told[3:] == ["b heard"]
        device.addresses_are(["b", "c"])
        assert len(aware.told) == 4

    in_virtual_time(main())


def test_what_has_changed_between_two_states_of_addresses() -> None:
    before = {"a": True, "b": True, "c": False}
    after = {"b": False, "c": True, "d": True}
    assert Change.between(before, after) == Change(
        added=("d",), removed=("a",), silent=("b",), heard=("c",)
    )
    assert not Change.between(after, after)


def test_an_endpoint_is_asked_again_only_after_something_has_happened() -> None:
    async def main() -> None:
        station = Station(HERE)
        driver, endpoint = station.driver, station.driver.endpoint
        asked = 0
        whole = endpoint.segments_to_send

        def counting(now: int) -> Any:
            nonlocal asked
            asked += 1
            if asked == wakes:
                driver.wake()
            return whole(now)

        for wakes, expected in ((0, 1), (1, 2)):  # a wake-up during the turn counts
            asked = 0
            left: list[Segment] = []
            station.carry = left.append
            cast("Any", driver).endpoint = Counted(endpoint, counting)
            endpoint.connect(Flow(Address(HERE, 40_000 + wakes), FLOW.remote), driver.now())
            driver.turn()
            assert len(left) == 1
            assert asked == expected

    in_virtual_time(main())


class Counted:
    """An endpoint with another ``segments_to_send``."""

    def __init__(self, endpoint: Any, segments_to_send: Callable[[int], Any]) -> None:
        self._endpoint = endpoint
        self.segments_to_send = segments_to_send

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)
