"""TCP Fast Open with the kernel in both roles, TCP and MPTCP (RFC 7413; RFC 8684, appendix B)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.topology.model import Family
from testbed.topology.operations import SetSysctl

from .conftest import ANY, PORT, complaint, said

pytestmark = pytest.mark.sandbox

PROGRAM = str(Path(__file__).with_name("fast_open.py"))
DELAY = 0.1  # one way
PATH = "delay 100ms"


async def asked_twice(lab, pair):
    """Return of two connections after how many delays each end had what the other one sent.

    That is first the server, which gets the question.
    """
    for node in ("client", "server"):
        wanted = SetSysctl(namespace=node, key="net.ipv4.tcp_fastopen", value="3")
        await lab.sandbox.execute([wanted])
    serving = await lab.start("server", PROGRAM, "server", pair[1], ANY[Family.IPV4], str(PORT))
    assert await said(serving) == "ready"
    client = await lab.start("client", PROGRAM, "client", pair[0], lab.address, str(PORT))
    times = []
    for _ in range(2):
        (asked,) = json.loads(await said(serving))
        began, answered = json.loads(await said(client))
        times.append(((asked - began) / DELAY, (answered - began) / DELAY))
    for program in (client, serving):
        assert (await program.wait()).returncode == 0, await complaint(program)
    return times


async def check_counters(lab, pair):
    """Have the kernel say that TCP Fast Open was used, and that MPTCP did not fall back."""
    for node, stack, counter in zip(("client", "server"), pair, ("Active", "Passive"), strict=True):
        counters = await lab.counters(node)
        if not stack.startswith("userspace"):
            assert counters[f"TcpExtTCPFastOpen{counter}"] == 1
        assert not [name for name in counters if "Fallback" in name]


@pytest.mark.parametrize(
    "pair",
    [
        ("userspace-tcp", "tcp"),
        ("tcp", "userspace-tcp"),
        ("userspace-early", "userspace-early"),
    ],
    ids="-".join,
)
def test_second_request_takes_a_round_trip_less(lab, pair):
    """The first one asks for a cookie."""

    async def test(lab):
        first, second = await asked_twice(lab, pair)
        assert first[0] >= 3
        assert first[1] >= 4
        assert second[0] < 3
        assert second[1] < 4
        await check_counters(lab, pair)

    lab([PATH], Family.IPV4, test)


@pytest.mark.parametrize("pair", [("userspace", "mptcp"), ("mptcp", "userspace")], ids="-".join)
def test_second_question_arrives_a_round_trip_earlier(lab, pair):
    """The kernel's MPTCP answers only after the handshake, and takes no other answer for MPTCP."""

    async def test(lab):
        first, second = await asked_twice(lab, pair)
        assert first[0] >= 3
        assert second[0] < 3
        assert second[1] >= 4
        await check_counters(lab, pair)

    lab([PATH], Family.IPV4, test)
