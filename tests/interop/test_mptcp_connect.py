"""The kernel's selftest program mptcp_connect, unchanged, over our stack at either end or at both.

It is a part of the kernel's source, which is not shipped here: ``TESTBED_MPTCP_CONNECT`` names its
file.  docs/programs.md says where to get it.  Each run of the tests tries some of its options;
``TESTBED_INTEROP=full`` tries all that can work, at each end, over IPv4 and IPv6.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.topology.model import Family
from testbed.workload.stacks.request import Request
from tests.interop.programs.side import missing

SOURCE = os.environ.get("TESTBED_MPTCP_CONNECT", "")
WHY = (
    "TESTBED_MPTCP_CONNECT does not name the kernel's mptcp_connect.c (docs/programs.md)"
    if not Path(SOURCE).is_file()
    else missing("gcc")
)
pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(WHY is not None, reason=str(WHY))]

SENDERS = ("client", "server")
FULL = os.environ.get("TESTBED_INTEROP") == "full"
OCTETS = 1_500_017
PORT = 12000  # the program's own
WIRE = "rate 200mbit delay 1ms"
ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
# Reads standard input from the first file, and writes standard output to the second one.
ON_FILES = 'input=$1 output=$2; shift 2; exec "$@" <"$input" >"$output"'
ENDS = (("ours", "kernel"), ("kernel", "ours"), ("ours", "ours"))
FEW = 20_011  # octets, where each write has a pause
AGAIN = 3
# The options of each case, for the client and for the server.
WAYS = {
    "poll": ("-m", "poll"),
    "mmap": ("-m", "mmap"),
    "sendfile": ("-m", "sendfile"),
    "peeks": ("-P", "saveWithPeek"),
    "peeks before": ("-P", "saveAfterPeek"),
    "joins late": ("-j", "-w", "0"),
    "small buffers": ("-S", "20000", "-R", "20000"),
    "stops": ("-r", "100"),
    "marks": ("-M", "1"),
    "reconnects": ("-I", str(AGAIN)),
}
QUICK = {
    ("poll", Family.IPV4, ("ours", "ours")),
    ("mmap", Family.IPV6, ("kernel", "ours")),
    ("sendfile", Family.IPV4, ("ours", "kernel")),
    ("reconnects", Family.IPV4, ("ours", "kernel")),
}
TRIED = [
    (way, family, ends)
    for way in WAYS
    for family in ANY
    for ends in ENDS
    if FULL or (way, family, ends) in QUICK
]


@pytest.fixture(scope="module")
def mptcp_connect(tmp_path_factory):
    program = tmp_path_factory.mktemp("selftest") / "mptcp_connect"
    subprocess.run(["gcc", "-O2", "-o", program, SOURCE], check=True)
    return str(program)


async def both(lab, folder, mptcp_connect, family, ends, options):
    """Run it at both ends, which succeed; what they send and receive is in files."""

    async def start(node, stack, *arguments):
        six = ("-6",) if family is Family.IPV6 else ()
        argv = (mptcp_connect, *six, *options[node], "-t", "30000", *arguments)
        if stack == "ours":
            argv = Request(stack="userspace", report=str(folder / node)).command(argv)
        files = folder / f"{node}.in", folder / f"{node}.out"
        shell = ("sh", "-c", ON_FILES, "sh", *map(str, files), *argv)
        return await lab.launcher.spawn(node, shell, empty_input=True)

    client, server = ends
    serving = await start("server", server, "-l", ANY[family])
    waiting = (sys.executable, "-m", "testbed.workload.listening", str(PORT))
    ready = await lab.launcher.spawn("server", waiting)
    tasks = [asyncio.ensure_future(one.wait()) for one in (ready, serving)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert not tasks[1].done(), (await serving.stderr.read(2**16)).decode()
    asking = await start("client", client, lab.address)
    complaints = await asyncio.gather(asking.stderr.read(-1), serving.stderr.read(-1))
    assert complaints == [b"", b""]
    assert [(await one.wait()).returncode for one in (asking, serving)] == [0, 0]


@pytest.mark.parametrize(
    ("way", "family", "ends"),
    TRIED,
    ids=[f"{way}-{family}-{client} to {server}" for way, family, (client, server) in TRIED],
)
def test_each_end_has_what_the_other_has_sent(lab, tmp_path, mptcp_connect, way, family, ends):
    octets = FEW if way == "stops" else OCTETS
    sent = {node: random.Random(node).randbytes(octets) for node in SENDERS}
    times = AGAIN if way == "reconnects" else 1

    async def test(lab):
        options = {}
        for node, data in sent.items():
            file = tmp_path / f"{node}.in"
            file.write_bytes(data)
            # The program reads its standard input only once.
            options[node] = (*WAYS[way], "-i", str(file)) if times > 1 else WAYS[way]
        await both(lab, tmp_path, mptcp_connect, family, ends, options)
        for node, stack in zip(SENDERS, ends, strict=True):
            found = await lab.counters(node)
            carried = {name for name in found if name.startswith("MPTcpExtMPCapable")}
            assert bool(carried) == (stack == "kernel"), found
            fallbacks = {
                name for name in found if name.startswith("MPTcpExt") and "Fallback" in name
            }
            assert not fallbacks, found

    lab([WIRE] * 2, family, test)
    assert (tmp_path / "client.out").read_bytes() == sent["server"] * times
    assert (tmp_path / "server.out").read_bytes() == sent["client"] * times


@pytest.mark.parametrize("ends", ENDS, ids=" to ".join)
@pytest.mark.parametrize("first", SENDERS)
def test_one_end_stops_early(lab, tmp_path, mptcp_connect, first, ends):
    """The program has unread data then: MP_FASTCLOSE ends its connection, as in mptcp_join.sh."""

    async def test(lab):
        options = {node: ("-f", "1024" if node == first else "-1024") for node in SENDERS}
        for node in SENDERS:
            (tmp_path / f"{node}.in").write_bytes(random.Random(node).randbytes(OCTETS))
        await both(lab, tmp_path, mptcp_connect, Family.IPV4, ends, options)
        for node, stack in zip(SENDERS, ends, strict=True):
            if stack == "kernel":
                counted = "MPTcpExtMPFastcloseTx" if node == first else "MPTcpExtMPFastcloseRx"
                assert (await lab.counters(node)).get(counted)

    lab([WIRE] * 2, Family.IPV4, test)
