"""Segments that no sane peer sends: nothing breaks, and what is said stays true."""

from __future__ import annotations

import random

import pytest

from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from testbed.stack.tcp.config import TcpConfig

from .script import MS, SCALED, Script

SETTINGS = {"send_buffer": 50_000, "receive_buffer": 30_000, "retries": 4}


def number(rng: random.Random, near: int) -> int:
    """Return a sequence number that is likely to matter."""
    return rng.choice([
        near,
        near + rng.randrange(-3, 4),
        near + rng.randrange(-5000, 5000),
        near + rng.randrange(-100_000, 100_000),
        rng.getrandbits(32),
    ])  # fmt: skip


def options(rng: random.Random, script: Script, sent: int) -> tuple[Option, ...]:
    """Return some options, sane or not."""
    base = script.base or 0
    found: list[Option] = []
    if rng.random() < 0.5:
        echo = (script.last[-1].options[0].value if script.last and script.last[-1].options
                and isinstance(script.last[-1].options[0], Timestamps) else 0)  # fmt: skip
        found.append(Timestamps(1000 + rng.choice([0, 1, 5, -3, rng.getrandbits(32)]), echo))
    if rng.random() < 0.5:
        blocks = []
        for _ in range(rng.randrange(1, 4)):
            left = number(rng, rng.randrange(sent + 1))
            right = left + rng.choice([0, 1, 700, 1460, 5000, -10])
            blocks.append(((base + left) & 0xFFFF_FFFF, (base + right) & 0xFFFF_FFFF))
        found.append(Sack(tuple(blocks)))
    if rng.random() < 0.1:
        found += [MaximumSegmentSize(rng.getrandbits(16)), WindowScale(rng.getrandbits(8))]
        found += [SackPermitted(), UnknownOption(99, b"?")]
    return tuple(found)


@pytest.mark.parametrize("seed", range(60))
def test_it_survives(seed: int) -> None:
    rng = random.Random(seed)
    script = Script(TcpConfig(**SETTINGS, sack=rng.random() < 0.8, gso=rng.random() < 0.3,
                              timestamps=rng.random() < 0.7, ecn=rng.random() < 0.3))  # fmt: skip
    connection = script.accept((Timestamps(1000, 0), SackPermitted(), *SCALED))
    for _ in range(300):
        if rng.random() < 0.3 and connection.room:
            connection.send(bytes(rng.randrange(4000)))
        sent = connection.sender.next + 1
        flags = rng.choice([".", ".", ".", "P.", "P.", "F.", "S", "S.", "R", "R.", "", "U.E", ".W"])
        if flags in ("F.", "R", "R.") and rng.random() < 0.9:
            flags = "."
        script.inject(
            flags,
            number(rng, connection.receiver.next + 1),
            number(rng, rng.randrange(connection.acknowledged, sent + 1) + 1),
            bytes(rng.choice([0, 0, 1, 100, 1460, 20_000])),
            win=rng.choice([0, 1, 500, 65535]),
            options=options(rng, script, sent),
            ecn=rng.randrange(4),
        )
        if rng.random() < 0.2:
            script.wait(rng.choice([1, 50, 1000]) * MS)
        if rng.random() < 0.2:
            connection.read(rng.randrange(20_000))
        if connection.closed:
            break
        info = connection.info()
        assert connection.unsent <= 50_000
        assert connection.readable <= 30_000
        assert 0 <= connection.in_flight <= connection.sender.next + 1
        assert connection.cwnd > 0
        assert info["lost"] >= 0
        assert info["sacked"] >= 0
        outstanding = connection.sender.next - connection.sender.una
        board = connection.sender.board
        assert board.in_flight + board.lost + board.sacked == outstanding
    assert script.wait(4000 * 1000 * MS) is not None
    assert connection.closed or connection.idle
