"""Our TCP and MPTCP against the kernel's, in both roles, over all kinds of paths.

The kernel is the judge: its counters say whether a connection fell back, whether a checksum or a
HMAC was wrong, and how many subflows there were.  ``TESTBED_INTEROP=full`` (``make interop``)
sends 16 MiB each way everywhere.
"""

from __future__ import annotations

import os

import pytest

from testbed.topology.model import Family
from testbed.topology.operations import SetLink, SetWire

pytestmark = pytest.mark.sandbox

FULL = os.environ.get("TESTBED_INTEROP") == "full"
MIB = 2**20
BIG = 16 * MIB
FAMILIES = [Family.IPV4, Family.IPV6]
# The stack of the client, and that of the server.
MPTCP = [("userspace", "mptcp"), ("mptcp", "userspace"), ("userspace", "userspace")]
TCP = [("userspace-tcp", "tcp"), ("tcp", "userspace-tcp"), ("userspace-tcp", "userspace-tcp")]
# An ordinary run leaves out our stack with itself on bad paths, and most of IPv6.
ON_BAD_PATHS = slice(None) if FULL else slice(2)
SHAPES = [
    (family, paths)
    for family in FAMILIES
    for paths in (1, 2, 4)
    if FULL or family == "ipv4" or paths == 2
]
if FULL:
    MPTCP.append(("mptcp", "mptcp"))
    TCP.append(("tcp", "tcp"))

# The kernel must not have counted any of these (net/mptcp/mib.c).
WRONG = ("Fallback", "InfiniteMap", "HMac", "Csum", "NoMatch", "Corruption", "MPFail", "Blackhole",
         "NoToken", "Mismatch", "MPRst", "DSSNot", "Drop", "Reject")  # fmt: skip


def size(ordinary):
    return BIG if FULL else ordinary


async def check(lab, pair, octets, paths, during=None, tolerated=()):
    """Transfer, and have both ends and the kernel say that all is well.

    :param during: what happens when half has arrived.
    :param tolerated: counters of the kernel that may have moved.
    """
    mptcp = "-tcp" not in pair[0] and pair[0] != "tcp"
    client, server = await lab.transfer(*pair, octets, paths if mptcp else 0, during)
    assert client["received"] == server["sent"]
    assert server["received"] == client["sent"]
    counters = {node: await lab.counters(node) for node in ("client", "server")}
    for node, stack in zip(("client", "server"), pair, strict=True):
        if stack.startswith("userspace"):
            assert_silent(counters[node])
        else:
            assert_well(counters[node], tolerated)
    if mptcp:
        assert_mptcp(pair, counters, client["view"], server["view"], paths)
    return client, server


def assert_silent(counters):
    """The kernel carried no data of the stack and answered no segment."""
    assert not {name for name in counters if name.startswith("MPTcpExt")}
    assert not {"TcpActiveOpens", "TcpPassiveOpens", "TcpOutRsts", "TcpAttemptFails"} & set(
        counters
    )


def assert_well(counters, tolerated):
    """The kernel counted no wrong segment."""
    wrong = {
        name: value
        for name, value in counters.items()
        if name.startswith("MPTcpExt")
        and any(word in name for word in WRONG)
        and name not in tolerated
    }
    assert not wrong
    assert "TcpInCsumErrors" not in counters


def assert_mptcp(pair, counters, client, server, paths):
    """MPTCP was spoken from the first segment on, over all paths."""
    for view in (client, server):
        assert not view["mptcp_info"]["fallback"]
    if pair[0] == "mptcp":
        assert counters["client"]["MPTcpExtMPCapableSYNACKRX"] == 1
        assert counters["client"].get("MPTcpExtMPJoinSynAckRx", 0) >= paths - 1
    if pair[1] == "mptcp":
        assert counters["server"]["MPTcpExtMPCapableACKRX"] == 1
        assert counters["server"].get("MPTcpExtMPJoinAckRx", 0) >= paths - 1
    if pair == ("userspace", "userspace"):
        here, there = (view["mptcp_info"]["info"] for view in (client, server))
        assert (here["token"], here["remote_token"]) == (there["remote_token"], there["token"])


@pytest.mark.parametrize(("family", "paths"), SHAPES)
@pytest.mark.parametrize("pair", MPTCP)
def test_mptcp_both_ways_at_once(lab, pair, family, paths):
    async def test(lab):
        await check(lab, pair, size(3 * MIB), paths)

    lab([""] * paths, family, test)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pair", TCP)
def test_tcp_both_ways_at_once(lab, pair, family):
    async def test(lab):
        await check(lab, pair, size(3 * MIB), 1)

    lab([""], family, test)


CONDITIONS = {
    "loss": ["rate 50mbit delay 5ms loss 1%", "rate 50mbit delay 8ms loss 1%"],
    "duplicates": ["rate 50mbit delay 5ms duplicate 5%", "rate 50mbit delay 5ms duplicate 5%"],
    "delays apart": ["rate 50mbit delay 1ms", "rate 50mbit delay 51ms"],
}


# An ADD_ADDR that came twice is dropped the second time.
TOLERATED = {"duplicates": ("MPTcpExtAddAddrDrop",)}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("pair", MPTCP[ON_BAD_PATHS])
def test_mptcp_over_bad_paths(lab, pair, condition):
    async def test(lab):
        await check(lab, pair, size(2 * MIB), 2, tolerated=TOLERATED.get(condition, ()))

    lab(CONDITIONS[condition], Family.IPV4, test)


@pytest.mark.parametrize("pair", MPTCP[ON_BAD_PATHS])
def test_mptcp_over_paths_that_reorder(lab, pair):
    """From the middle on: reordered handshakes fall back, also between kernels.

    A segment that overtakes those with MP_CAPABLE tells the listener that the client has gone on
    with plain TCP (RFC 8684, section 3.7).
    """

    async def reorder(sandbox):
        await set_all(sandbox, ("path0", "path1"), {"reorder": "5%"})

    async def test(lab):
        await check(lab, pair, size(2 * MIB), 2, reorder)

    lab(["rate 50mbit delay 5ms", "rate 50mbit delay 8ms"], Family.IPV4, test)


async def set_all(sandbox, links, options):
    """Change options of links, both ways."""
    await sandbox.execute(
        [SetWire(link=link, toward=end, options=options) for link in links for end in ("a", "b")]
    )


@pytest.mark.parametrize("condition", ["loss 1%", "reorder 5%"])
@pytest.mark.parametrize("pair", TCP[ON_BAD_PATHS])
def test_tcp_over_a_bad_path(lab, pair, condition):
    async def test(lab):
        await check(lab, pair, size(2 * MIB), 1)

    lab([f"rate 50mbit delay 5ms {condition}"], Family.IPV4, test)


@pytest.mark.parametrize("dying", ["path0", "path1"])
@pytest.mark.parametrize("pair", MPTCP[ON_BAD_PATHS])
def test_a_path_dies_in_the_middle(lab, pair, dying):
    """The rest arrives over the other path, also when it is the first subflow that dies."""

    async def cut(sandbox):
        await set_all(sandbox, (dying,), {"loss": "100%"})

    async def test(lab):
        client, server = await lab.transfer(*pair, size(2 * MIB), during=cut)
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]

    lab(["rate 20mbit delay 5ms", "rate 20mbit delay 5ms"], Family.IPV4, test)


@pytest.mark.parametrize("pair", MPTCP[:2])
def test_an_interface_goes_down_in_the_middle(lab, pair):
    """The rest arrives over the other path.  The address is still there, so it is not withdrawn."""

    async def cut(sandbox):
        await sandbox.execute([SetLink(namespace="client", interface="path1", up=False)])

    async def test(lab):
        client, server = await lab.transfer(*pair, size(2 * MIB), during=cut)
        assert client["received"] == server["sent"]
        assert server["received"] == client["sent"]
        if pair[1] == "mptcp":
            assert "MPTcpExtRmAddr" not in await lab.counters("server")

    lab(["rate 20mbit delay 5ms", "rate 20mbit delay 5ms"], Family.IPV4, test)
