"""Programs that command paths on a Unix socket: the path manager ``command``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.host import commands, endpoints
from testbed.host.commands import CommandSocket
from testbed.host.driver import Host
from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import Announce
from tests.isolation import isolated
from tests.unit.host.test_driver_faults import loopback_up
from tests.unit.stack.mptcp.network import Network

A1, A2 = "10.0.1.1", "10.0.2.1"
B1, B2 = "10.0.1.2", "10.0.2.2"
EXAMPLE = Path(__file__).parents[3] / "docs/examples/path-daemon/pathd.py"
UNIX = Path("/proc/net/unix")
NAME = "testbed mptcp paths"
TIMEOUT_S = 30  # only keeps a test from hanging


class World:
    """A client whose paths are commanded, a server, and the socket."""

    def __init__(self, folder: Path) -> None:
        self.network = Network(2, path_manager="command")
        for here, there in ((A1, B2), (A2, B1)):
            self.network.paths[here, there], self.network.paths[there, here] = self.network.path(0)
        self.network.server.endpoint.listen(Address("0.0.0.0", 80))
        self.connection: Any = self.network.connect()
        self.network.client.send(self.connection, b"hello", close=False)
        self.network.run(1)
        self.peer: Any
        (self.peer,) = self.network.server.connections
        self.address = str(folder / "paths")
        self.woken = asyncio.Semaphore(0)
        client = self.network.client
        self.socket = CommandSocket(self.address, lambda: self.network.now, self.woken.release)
        self.socket.control(client.endpoint.paths)
        client.tracer.event = self.socket.event  # type: ignore[method-assign]
        self.programs: list[Program] = []

    async def commanded(self, times: int) -> None:
        """Wait for so many commands, and let a second pass."""
        for _ in range(times):
            await self.woken.acquire()
        self.network.run(1)

    async def close(self) -> None:
        """Let all programs go."""
        self.socket.close()
        for one in self.programs:
            one.writer.close()
            with contextlib.suppress(OSError):
                await one.writer.wait_closed()

    @property
    def usable(self) -> list[tuple[str, str]]:
        there = (one.path for one in self.connection.subflows if one.usable)
        return sorted((path.local_host, path.remote.host) for path in there)


class Program:
    """A program that is connected to a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, **fields: Any) -> None:
        self.writer.write(json.dumps(fields).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.reader.readline())
        return found

    async def answer(self) -> dict[str, Any]:
        while "event" in (said := await self.hear()):
            pass
        return said


async def program(world: World) -> Program:
    world.programs.append(Program(*await asyncio.open_unix_connection(world.address)))
    return world.programs[-1]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    """Run a scenario on an event loop."""

    async def scenario(of: Callable[[World], Awaitable[None]]) -> None:
        world = World(tmp_path)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await of(world)
        finally:
            await world.close()

    return lambda of: asyncio.run(scenario(of))


class NoDescriptors:
    """A listener while this process may open nothing more."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.attempts = 0
        self.fileno, self.close = listener.fileno, listener.close

    def accept(self) -> None:
        self.attempts += 1
        raise OSError(errno.EMFILE, "too many open files")


def test_it_waits_while_there_are_no_descriptors(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        full = NoDescriptors(world.socket._listener)
        later: list[Callable[[], None]] = []
        world.socket._listener = full  # type: ignore[assignment]
        with monkeypatch.context() as patched:
            patched.setattr(world.socket._loop, "call_later", lambda _, do: later.append(do))
            one = await program(world)
            while not later:
                await asyncio.sleep(0)
            for _ in range(10):
                await asyncio.sleep(0)
        assert full.attempts == 1
        world.socket._listener = full.listener
        later[0]()
        assert (await one.hear())["event"] == "created"

    play(scenario)


def test_daemon_of_the_example_makes_a_full_mesh(play: Any) -> None:
    spec = importlib.util.spec_from_file_location("pathd", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    daemon = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(daemon)

    async def scenario(world: World) -> None:
        assert world.usable == [(A1, B1)]  # no path appears without a command
        running = asyncio.create_task(daemon.main(world.address, [A1, A2]))
        await world.commanded(1)
        assert world.usable == [(A1, B1), (A2, B1)]
        server = world.network.server.endpoint.paths
        server.execute(world.peer.keys.token, Announce(id=2, host=B2), world.network.now)
        world.network.run(1)
        await world.commanded(2)
        assert world.usable == [(A1, B1), (A1, B2), (A2, B1), (A2, B2)]
        world.socket.close()
        await running

    play(scenario)


def test_each_command(play: Any) -> None:
    async def scenario(world: World) -> None:
        token = world.connection.keys.token
        one = await program(world)
        names = [(await one.hear())["event"] for _ in range(2)]
        assert names == ["created", "established"]
        mine = {"token": token, "saddr": A2}
        one.send(command="subflow_create", loc_id=2, daddr=B1, dport=80, ref="r", **mine)
        assert await one.answer() == {"ref": "r", "done": "subflow_create"}
        await world.commanded(1)
        event = await one.hear()
        assert event["event"] == "sub_established"
        assert (event["loc_id"], event["rem_id"], event["backup"]) == (2, 0, False)
        ends = {name: event[name] for name in ("saddr", "sport", "daddr", "dport")}
        one.send(command="set_flags", token=token, backup=True, **ends)
        await world.commanded(1)
        assert [each.backup for each in world.peer.subflows] == [False, True]
        one.send(command="announce", loc_id=2, **mine)
        await world.commanded(1)
        assert [found.address.host for found in world.peer.paths.remotes] == [A1, A2]
        one.send(command="subflow_destroy", token=token, **ends)
        await world.commanded(1)
        assert world.usable == [(A1, B1)]
        one.send(command="remove", token=token, loc_id=2)
        await world.commanded(1)
        assert [found.address.host for found in world.peer.paths.remotes] == [A1]
        said = [await one.hear() for _ in range(5)]
        done = [each["done"] for each in said if "done" in each]
        assert done == ["set_flags", "announce", "subflow_destroy", "remove"]
        assert [each["event"] for each in said if "event" in each] == ["sub_closed"]

    play(scenario)


@pytest.mark.parametrize(
    ("line", "why", "ref"),
    [
        (b'{"command": "remove", "token": 7, "loc_id": 1, "ref": 3}', "token 7", 3),
        (b'{"command": "fly", "token": 7, "ref": [1]}', "Invalid value 'fly'", [1]),
        (b'{"command": "remove", "token": 7, "loc_id": 256}', "<= 255", None),
        (b'{"command": "remove", "token": 7, "loc_id": 1, "saddr": "x"}', "saddr", None),
        (b'{"command": "announce", "token": 7, "loc_id": 1, "saddr": "x"}', "'x' does not", None),
        (b"nonsense", "malformed", None),
        (b"[" * 4000, "", None),
    ],
)
def test_bad_command_is_answered_with_the_reason(
    play: Any, line: bytes, why: str, ref: Any
) -> None:
    async def scenario(world: World) -> None:
        one = await program(world)
        one.writer.write(line + b"\n")
        answer = await one.answer()
        assert answer["ref"] == ref
        assert why in answer["error"]
        one.send(command="remove", token=world.connection.keys.token, loc_id=0, ref="on")
        assert await one.answer() == {"ref": "on", "done": "remove"}

    play(scenario)


def test_line_without_end_ends_the_program(play: Any) -> None:
    async def scenario(world: World) -> None:
        one = await program(world)
        one.writer.write(bytes(commands.LONGEST + 1))
        assert str(commands.LONGEST) in (await one.answer())["error"]
        assert await one.reader.read() == b""

    play(scenario)


def test_program_that_does_not_read_loses_events_and_disturbs_nobody(play: Any) -> None:
    async def scenario(world: World) -> None:
        slow, gone, quick = [await program(world) for _ in range(3)]
        for one in (slow, gone, quick):
            assert (await one.hear())["event"] == "created"
            assert (await one.hear())["event"] == "established"
        gone.writer.transport.abort()
        transport: Any = slow.writer.transport
        transport.pause_reading()
        told = 6000
        for number in range(told):
            world.socket.event("removed", world.network.now, {"token": 1, "rem_id": number})
            assert (await quick.hear())["rem_id"] == number
        transport.resume_reading()
        count = 0
        while (said := await slow.hear())["event"] != "lost":
            assert said["rem_id"] == count
            count += 1
        assert 0 < said["count"] == told - count

    play(scenario)


def test_too_many_programs_are_not_heard(play: Any) -> None:
    async def scenario(world: World) -> None:
        there = [await program(world) for _ in range(commands.MOST_CONTROLLERS)]
        for one in there:
            await one.hear()
        assert await (await program(world)).reader.read() == b""
        there[0].writer.close()
        while not await (await program(world)).reader.readline():
            pass

    play(scenario)


def test_program_of_another_user_is_not_heard(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        monkeypatch.setattr(commands, "_user", lambda _: 4242)
        assert await (await program(world)).reader.read() == b""

    play(scenario)


def test_names_of_sockets_differ() -> None:
    assert commands.default_name() != commands.default_name()
    assert commands.default_name().startswith("\0")


async def _one_subflow_more() -> list[str]:
    """Open a connection on the loopback, and a further subflow by a command; return the events."""
    config = msgspec.structs.replace(endpoints.MPTCP, path_manager="command")
    host = Host(endpoints.mptcp(config))
    server = await host.start_server(lambda *_: None, Address("127.0.0.1", 5001))
    name = next(line.split("@")[1] for line in UNIX.read_text().splitlines() if NAME in line)
    program = Program(*await asyncio.open_unix_connection(f"\0{name}"))
    _, writer = await host.open_connection(Address("127.0.0.1", 5001))
    writer.write(b"hello")
    heard: list[str] = []
    asked = False
    while heard.count("sub_established") < 2:
        said = await program.hear()
        heard.append(said.get("event") or said.get("done") or said["error"])
        if said.get("event") == "established" and not said["server_side"] and not asked:
            asked = True
            ends = {end: said[end] for end in ("token", "saddr", "daddr", "dport")}
            program.send(command="subflow_create", loc_id=0, **ends)
    program.writer.close()
    server.close()
    host.close()
    await asyncio.sleep(0)
    return heard


@pytest.mark.sandbox
@isolated
def test_socket_of_a_stack_on_a_real_interface() -> None:
    loopback_up()
    heard = asyncio.run(asyncio.wait_for(_one_subflow_more(), TIMEOUT_S))
    assert heard.count("subflow_create") == 1
    assert NAME not in UNIX.read_text()  # the name goes with the socket
