"""The kernel's selftest program mptcp_connect, unchanged, over our stack at either end or at both.

It is a part of the kernel's source, which is not shipped here: ``TESTBED_MPTCP_CONNECT`` names its
file.  docs/programs.md says where to get it.  Each run of the tests tries each way to read and
write; ``TESTBED_INTEROP=full`` tries it at each end, over IPv4 and IPv6.
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

FULL = os.environ.get("TESTBED_INTEROP") == "full"
OCTETS = 1_500_017
PORT = 12000  # the program's own
WIRE = "rate 200mbit delay 1ms"
ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
# Reads standard input from the first file, and writes standard output to the second one.
ON_FILES = 'input=$1 output=$2; shift 2; exec "$@" <"$input" >"$output"'
ENDS = (("ours", "kernel"), ("kernel", "ours"), ("ours", "ours"))
QUICK = {
    ("poll", Family.IPV4, ("ours", "ours")),
    ("mmap", Family.IPV6, ("kernel", "ours")),
    ("sendfile", Family.IPV4, ("ours", "kernel")),
}
TRIED = [
    (mode, family, ends)
    for mode in ("poll", "mmap", "sendfile")
    for family in ANY
    for ends in ENDS
    if FULL or (mode, family, ends) in QUICK
]


@pytest.fixture(scope="module")
def mptcp_connect(tmp_path_factory):
    program = tmp_path_factory.mktemp("selftest") / "mptcp_connect"
    subprocess.run(["gcc", "-O2", "-o", program, SOURCE], check=True)
    return str(program)


@pytest.mark.parametrize(
    ("mode", "family", "ends"),
    TRIED,
    ids=[f"{mode}-{family}-{client} to {server}" for mode, family, (client, server) in TRIED],
)
def test_each_end_has_what_the_other_has_sent(lab, tmp_path, mptcp_connect, mode, family, ends):
    sent = {node: random.Random(node).randbytes(OCTETS) for node in ("client", "server")}

    async def start(lab, node, stack, *arguments):
        files = tmp_path / f"{node}.in", tmp_path / f"{node}.out"
        files[0].write_bytes(sent[node])
        six = ("-6",) if family is Family.IPV6 else ()
        argv = (mptcp_connect, *six, "-m", mode, "-t", "30000", *arguments)
        if stack == "ours":
            argv = Request(stack="userspace", report=str(tmp_path / node)).command(argv)
        shell = ("sh", "-c", ON_FILES, "sh", *map(str, files), *argv)
        return await lab.launcher.spawn(node, shell, empty_input=True)

    async def test(lab):
        client, server = ends
        serving = await start(lab, "server", server, "-l", ANY[family])
        waiting = (sys.executable, "-m", "testbed.workload.listening", str(PORT))
        ready = await lab.launcher.spawn("server", waiting)
        tasks = [asyncio.ensure_future(one.wait()) for one in (ready, serving)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert not tasks[1].done(), (await serving.stderr.read(2**16)).decode()
        asking = await start(lab, "client", client, lab.address)
        complaints = await asyncio.gather(asking.stderr.read(-1), serving.stderr.read(-1))
        assert complaints == [b"", b""]
        assert [(await one.wait()).returncode for one in (asking, serving)] == [0, 0]
        for node, stack in zip(("client", "server"), ends, strict=True):
            found = await lab.counters(node)
            carried = {name for name in found if name.startswith("MPTcpExtMPCapable")}
            assert bool(carried) == (stack == "kernel"), found
            assert not [name for name in found if "Fallback" in name], found

    lab([WIRE] * 2, family, test)
    assert (tmp_path / "client.out").read_bytes() == sent["server"]
    assert (tmp_path / "server.out").read_bytes() == sent["client"]
