"""A supervisor is killed at any moment: the kernel's MPTCP at the other end sees a reset."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import sys
from pathlib import Path

import pytest

from testbed.topology.model import Family
from testbed.workload.stacks.request import Request

pytestmark = pytest.mark.sandbox

FOLDER = Path(__file__).with_name("programs")
KILLING, WATCHED = (str(FOLDER / name) for name in ("killing.py", "watched.py"))
PORT = "5001"
ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
RESET = errno.ECONNRESET
# Linux reports EPIPE if the peer has read the end of the connection before
# (mptcp_check_fastclose).  It also reports EPIPE to a sender that already got an error.
OVER = {RESET, errno.EPIPE}
LIMIT_S = 20  # less than the minute for which Linux keeps a connection without subflows


async def line(program):
    said = await program.stdout.readline()
    assert said, (await program.stderr.read(2**16)).decode()
    return said.decode().strip()


async def start(lab, node, *argv):
    argv = Request(stack="userspace", report="/dev/null").command((sys.executable, KILLING, *argv))
    return await lab.launcher.spawn(node, argv)


async def watch(lab, node, *argv):
    program = await lab.start(node, WATCHED, *argv)
    assert await line(program) == "ready"
    return program


async def killed(program):
    assert await line(program) == "about to"
    program.stdin.write(b"\n")
    assert (await program.wait()).returncode == -signal.SIGKILL
    assert await program.stderr.read(-1) == b""
    program.stdin.close()


async def outcomes(watching):
    watching.stdin.close()
    async with asyncio.timeout(LIMIT_S):
        return json.loads(await line(watching))


def check(outcome):
    if outcome["tag"] in ("ec", "ew") and outcome["ended"] and not outcome["error"]:
        return  # both sides were closed before
    assert outcome["error"] in OVER, outcome
    if outcome["tag"][1:] not in ("c", "w"):  # the program has left it open
        assert not outcome["ended"], outcome
        assert outcome["error"] == RESET or outcome["tag"].startswith("s"), outcome


@pytest.mark.parametrize("family", list(Family), ids=str)
@pytest.mark.parametrize("paths", [1, 2])
def test_a_peer_that_only_reads(lab, family, paths):
    async def test(lab):
        watching = await watch(lab, "server", "serve", ANY[family], PORT)
        program = await start(lab, "client", "joined", str(paths), lab.address, PORT)
        await killed(program)
        assert await outcomes(watching) == [{"tag": "g-", "ended": False, "error": RESET}]
        counters = await lab.counters("server")
        assert 1 <= counters["MPTcpExtMPFastcloseRx"] <= paths  # one of them ends all
        assert counters.get("MPTcpExtMPJoinAckRx", 0) == paths - 1

    lab(["delay 2ms"] * paths, family, test)


@pytest.mark.parametrize("seed", range(8))
def test_while_a_program_connects_and_sends(lab, seed):
    family = list(Family)[seed % 2]

    async def test(lab):
        watching = await watch(lab, "server", "serve", ANY[family], PORT)
        await killed(await start(lab, "client", "connect", str(seed), lab.address, PORT))
        found = await outcomes(watching)
        for outcome in found:
            check(outcome)

    lab(["delay 2ms rate 50mbit"] * (1 + seed % 3 % 2), family, test)


@pytest.mark.parametrize("seed", range(4))
def test_while_a_program_listens(lab, seed):
    family = list(Family)[seed % 2]
    kinds = "rserse"

    async def test(lab):
        program = await start(lab, "server", "listen", str(seed), ANY[family], PORT)
        assert await line(program) == "listening"
        watching = await watch(lab, "client", "connect", lab.address, PORT, kinds)
        program.stdin.write(b"\n")
        await killed(program)
        found = await outcomes(watching)
        assert len(found) == len(kinds)
        for outcome in found:
            assert not outcome["ended"]
            assert outcome["error"] in OVER

    lab(["delay 2ms"] * (1 + seed // 2), family, test)
