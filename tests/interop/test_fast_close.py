"""MP_FASTCLOSE to and from the kernel, on ACK and on RST (RFC 8684, section 3.5)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.topology.model import Family

from .conftest import ANY, PORT, complaint, said

pytestmark = pytest.mark.sandbox

ABORTING = str(Path(__file__).with_name("aborting.py"))


async def aborted(lab, pair, who, *, by_ack):
    """Have one end of a connection abort it; return the error that the other end gets."""
    ends = {}
    chosen = json.dumps({"fastclose_by_ack": by_ack})
    for role, stack, address in (
        ("server", pair[1], ANY[Family.IPV4]),
        ("client", pair[0], lab.address),
    ):
        options = chosen if stack == "userspace" else "{}"
        argv = (role, stack, options, address, str(PORT), who)
        ends[role] = await lab.start(role, ABORTING, *argv)
        if role == "server":
            assert await said(ends[role]) == "ready"
    for program in ends.values():
        assert await said(program) == "open"
    ends[who].stdin.write(b"\n")
    (other,) = (program for role, program in ends.items() if role != who)
    error = json.loads(await said(other))
    for program in ends.values():
        assert (await program.wait()).returncode == 0, await complaint(program)
    return error


@pytest.mark.parametrize("by_ack", [True, False], ids=["ACK", "RST"])
@pytest.mark.parametrize("who", ["client", "server"])
def test_the_kernel_is_told(lab, who, by_ack):
    """The kernel accepts the option and resets; to an ACK it answers with RST on each subflow."""
    pair = ("userspace", "mptcp") if who == "client" else ("mptcp", "userspace")
    kernels = "server" if who == "client" else "client"

    async def test(lab):
        assert await aborted(lab, pair, who, by_ack=by_ack) == "ECONNRESET"
        counters = await lab.counters(kernels)
        # The first RST ends its connection, so that the second may find none.
        assert counters["MPTcpExtMPFastcloseRx"] in ((1,) if by_ack else (1, 2))
        assert counters.get("MPTcpExtMPFastcloseTx", 0) == 0
        if by_ack:
            assert counters["MPTcpExtMPRstTx"] >= 1

    lab(["", ""], Family.IPV4, test)


@pytest.mark.parametrize("who", ["client", "server"])
def test_the_kernel_tells(lab, who):
    """The kernel sends the option on RSTs: option R."""
    pair = ("mptcp", "userspace") if who == "client" else ("userspace", "mptcp")

    async def test(lab):
        assert await aborted(lab, pair, who, by_ack=False) == "ECONNRESET"
        counters = await lab.counters(who)
        assert counters["MPTcpExtMPFastcloseTx"] >= 1
        assert counters.get("MPTcpExtMPFastcloseRx", 0) == 0

    lab(["", ""], Family.IPV4, test)
