"""DSS checksums with the kernel, in both roles (RFC 8684, section 3.3.1).

The kernel computes each checksum again, and counts those that are wrong; a stack that sent data
without one would be reset.  So ``MPTcpExtDataCsumErr`` alone proves little: that checksums were in
use is what the kernel's MPTCP_INFO says.
"""

from __future__ import annotations

import pytest

from testbed.topology.model import Family
from testbed.topology.operations import SetSysctl

from .test_kernel_interoperability import MIB, MPTCP, check, set_all, size

pytestmark = pytest.mark.sandbox


async def require(lab, nodes):
    """Have some nodes require checksums, both the kernel's MPTCP there and ours."""
    await lab.sandbox.execute(
        [SetSysctl(namespace=node, key="net.mptcp.checksum_enabled", value="1") for node in nodes]
    )


@pytest.mark.parametrize("nodes", [("client",), ("server",), ("client", "server")])
@pytest.mark.parametrize("pair", MPTCP)
def test_a_side_that_requires_checksums_gets_them(lab, pair, nodes):
    async def test(lab):
        await require(lab, nodes)
        for end in await check(lab, pair, size(2 * MIB), 2):
            assert end["view"]["mptcp_info"]["info"]["csum_enabled"] == 1

    lab(["", ""], Family.IPV4, test)


@pytest.mark.parametrize("condition", ["loss 1%", "reorder 5%", "duplicate 5%"])
@pytest.mark.parametrize("pair", MPTCP[:2])
def test_checksums_over_bad_paths(lab, pair, condition):
    """Checksums cover data that comes in pieces, twice or late."""

    async def spoil(sandbox):
        await set_all(sandbox, ("path0", "path1"), dict([condition.split()]))

    async def test(lab):
        await require(lab, ("client", "server"))
        await check(lab, pair, size(MIB), 2, spoil, tolerated=("MPTcpExtAddAddrDrop",))

    lab(["rate 50mbit delay 5ms", "rate 50mbit delay 8ms"], Family.IPV6, test)


def test_nobody_requires_checksums(lab):
    """A side without the option uses no checksums."""

    async def test(lab):
        for end in await check(lab, ("userspace", "mptcp"), MIB, 1):
            assert end["view"]["mptcp_info"]["info"]["csum_enabled"] == 0

    lab([""], Family.IPV4, test)
