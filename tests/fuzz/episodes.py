"""Episodes: one established connection and a list of things that happen to it.

An episode is a value.  It follows from its seed, is written as JSON, and is made smaller by taking
steps away.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.icmp import IcmpKind
from testbed.packet.options import Option, find
from testbed.packet.segment import ACK, FIN, PSH, RST, SYN, URG
from testbed.stack.mptcp import crypto
from tests.fuzz.world import BITS, HOSTS, OPTION_NAMES, PORT, S, World

LENGTH: Final = 100  # packets of an episode
_FLAGS: Final = (ACK,) * 24 + (ACK | PSH,) * 8 + (
    ACK | FIN, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, 0, ACK | URG, 0xFF)  # fmt: skip
_ACTS: Final = ("write", "write", "write", "read", "read", "shutdown", "close", "abort", "icmp",
                "join", "gone", "back")  # fmt: skip
_KINDS: Final = tuple(IcmpKind)


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One packet of the peer, and what the endpoint's application or host does before it.

    :param path: which of the peer's TCP connections.
    :param seq: sequence number, from the next one; ``ack`` likewise.
    :param options: names, each with two numbers.
    :param act: what is done first, with ``amount``.
    """

    path: int = 0
    flags: int = ACK
    seq: int = 0
    ack: int = 0
    window: int = 0xFFFF
    payload: int = 0
    options: tuple[tuple[str, int, int], ...] = ()
    act: str = ""
    amount: int = 0
    wait_ms: int = 0


class Episode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module."""

    initiator: bool = False
    plain: bool = False
    half: bool = False
    timestamps: bool = False
    checksum: bool = False
    gso: bool = False
    path_manager: str = "kernel_like"
    buffer: int = 60_000
    seed: int = 1
    steps: tuple[Step, ...] = ()
    early: bool = False


def episode(seed: int, length: int = LENGTH) -> Episode:
    """Return the episode of a seed."""
    rng = Random(f"episode {seed}")
    return Episode(
        initiator=rng.random() < 0.5,
        plain=rng.random() < 0.2,
        half=rng.random() < 0.1,
        timestamps=rng.random() < 0.4,
        checksum=rng.random() < 0.3,
        gso=rng.random() < 0.3,
        path_manager=rng.choice(("kernel_like", "fullmesh")),
        buffer=rng.choice((3_000, 60_000, 60_000, 400_000)),
        seed=rng.getrandbits(16),
        steps=tuple(_step(rng) for _ in range(length)),
        early=rng.random() < 0.3,
    )


def _near(rng: Random, spread: int) -> int:
    return rng.choice(
        (0, 0, 0, 0, 0, 1, -1, rng.randrange(-spread, spread), rng.getrandbits(32) - (1 << 31))
    )


def _step(rng: Random) -> Step:
    act = rng.choice(_ACTS) if rng.random() < 0.35 else ""
    if act in ("shutdown", "close", "abort", "gone") and rng.random() < 0.96:
        act = ""
    flags = rng.choice(_FLAGS)
    if flags & (RST | FIN) and rng.random() < 0.85:
        flags = ACK
    return Step(
        path=rng.choice((0, 0, 0, rng.randrange(8))),
        flags=flags,
        seq=_near(rng, 70_000),
        ack=_near(rng, 70_000),
        window=rng.choice((0, 1, 500, 0xFFFF, 0xFFFF, 0xFFFF)),
        payload=rng.choice((0, 0, 1, 100, 1400, 1400, 1400, 20_000)),
        options=tuple(_option(rng) for _ in range(rng.choice((0, 1, 1, 1, 2)))),
        act=act,
        amount=rng.choice((1, 100, 1400, rng.randrange(100_000))),
        wait_ms=rng.choice((0, 0, 0, 0, 1, 40, 300, 5_000)),
    )


def _option(rng: Random) -> tuple[str, int, int]:
    numbers = [
        rng.choice((rng.randrange(4), rng.randrange(5_000), rng.randrange(1 << 20),
                    rng.getrandbits(48)))
        for _ in range(2)
    ]  # fmt: skip
    name = rng.choice(("dss", "dss", "dss", "data ack", "timestamps", *OPTION_NAMES))
    return (name, *numbers)


def play(episode: Episode) -> None:
    """Let an episode happen.

    :raises Finding: an invariant does not hold; or any exception that the stack lets through.
    """
    world = World(
        initiator=episode.initiator,
        plain=episode.plain,
        half=episode.half,
        timestamps=episode.timestamps,
        checksum=episode.checksum,
        gso=episode.gso,
        path_manager=episode.path_manager,
        buffer=episode.buffer,
        seed=episode.seed,
        early=episode.early,
    )
    for step in episode.steps:
        _act(world, step)
        _send(world, step)
        if step.wait_ms:
            world.wait(step.wait_ms * S // 1000)
    world.finish()


def _send(world: World, step: Step) -> None:
    path = world.paths[step.path % len(world.paths)]
    options: list[Option] = []
    for name, first, second in step.options:
        option = world.option(name, first, second, path)
        if sum((one.size + 3) & ~3 for one in (*options, option)) <= 40:
            options.append(option)
    world.inject(
        path,
        step.flags,
        path.next + step.seq,
        path.expected + step.ack,
        step.window,
        tuple(options),
        bytes(step.payload),
    )


def _act(world: World, step: Step) -> None:
    connection = world.connections[step.amount % len(world.connections)] if (
        world.connections) else None  # fmt: skip
    match step.act:
        case "join":
            _join(world, step.amount)
        case "icmp":
            path = world.paths[step.path % len(world.paths)]
            world.icmp(path, _KINDS[step.amount % len(_KINDS)], step.amount & 0x7FF)
        case "gone" | "back":
            host = HOSTS[step.amount % len(HOSTS)]
            others = [one for one in world.hosts if one != host]
            world.hosts = others if step.act == "gone" else [*others, host]
            tell = "address_removed" if step.act == "gone" else "address_added"
            getattr(world.endpoint, tell)(host, world.now)
        case "write" if connection is not None and not connection.closed:
            try:
                connection.send(bytes(step.amount))
            except BrokenPipeError:
                return
        case "read" if connection is not None:
            connection.read(step.amount)
        case "shutdown" | "close" | "abort" if connection is not None:
            getattr(connection, step.act)()
    world.pump()


def _join(world: World, amount: int) -> None:
    """Open a subflow as a sound peer does: with the right HMAC."""
    if world.keys.remote is None:
        return
    nonce = amount & BITS
    local = Address(HOSTS[amount % 2], PORT)
    remote = Address("10.0.2.2", 5_000 + amount % 50)
    if any(path.flow == (local, remote) for path in world.paths):
        return
    join = mptcp.MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=nonce)
    path = world.open_path(local, remote, join)
    answer = find(path.answer, mptcp.MpJoinSynAck)
    if answer is None:
        return
    hmac = crypto.join_hmac(*world.keys.pair(), nonce, answer.nonce)[:20]
    stamp = world.stamp(path)
    world.inject(path, ACK, path.next, path.expected, 0xFFFF, (*stamp, mptcp.MpJoinAck(hmac=hmac)))
