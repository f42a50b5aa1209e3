"""Two hosts, two paths, and the events that may happen on them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from random import Random

import msgspec
import pytest

from testbed import document
from testbed.middlebox.base import Middlebox
from testbed.sim import endpoints
from testbed.sim.network import Network
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from tests.exchange import End
from tests.transfer import Change, Transfer, server_address

# A receiver without keep-alives does not notice that the peer is gone.
ASKING = msgspec.structs.replace(endpoints.DEFAULT, keepalive=True, keepalive_idle_ns=60 * 10**9)
MPTCP = endpoints.mptcp(msgspec.structs.replace(endpoints.MPTCP, tcp=ASKING))
STACKS = {
    "userspace": MPTCP,
    "checksums": MPTCP,  # the same, with DSS checksums
    "userspace-tcp": endpoints.tcp(ASKING),
}


class Trial:
    """One transfer both ways at once.

    :param netem: options of each link.
    :param boxes: middleboxes of each link.
    :param sizes: how many octets each end sends, the client first; or the octets.
    :param restore: see :class:`End`.
    """

    def __init__(
        self,
        stack: str,
        *,
        netem: dict[str, str] | None = None,
        boxes: Callable[[Network], dict[str, Sequence[Middlebox]]] | None = None,
        changes: Sequence[Change] = (),
        sizes: tuple[int | bytes, int | bytes] = (200_000, 100_000),
        restore: Callable[[bytes], bytes] | None = None,
        seed: int = 1,
    ) -> None:
        options = {"wifi": "rate 20mbit delay 5ms limit 50", "lte": "rate 30mbit delay 15ms"}
        spec = {
            "nodes": {"client": {}, "server": {}},
            "sysctls": {"net.mptcp.checksum_enabled": int(stack == "checksums")},
            "links": {
                link: {
                    "between": ["client", "server"],
                    "netem": f"{options[link]} {(netem or {}).get(link, '')}".strip(),
                }
                for link in options
            },
        }
        raw = document.convert(spec, TopologySpec, document.Positions({}), "trial")
        self._topology = resolve(raw)
        random = Random(seed)
        there, back = (
            size if isinstance(size, bytes) else random.randbytes(size) for size in sizes
        )
        self._transfer = Transfer(
            self._topology,
            STACKS[stack],
            End(there, back, restore=restore),
            End(back, there, restore=restore),
            boxes=boxes or (lambda _: {}),
            happen=changes,
            seed=seed,
        )
        self.client, self.server = self._transfer.client, self._transfer.server

    def run(self) -> Trial:
        """Run the network, and check what must be true after any events."""
        address = server_address(self._topology)
        assert address is not None
        self._transfer.run(address)
        for end in (self.client, self.server):
            assert end.error is None or end.error.errno != errno.EIO  # a fault in the stack
        if self._transfer.accepted:
            self.client.check()
            self.server.check()
        else:
            assert self.client.error is not None
        return self

    def succeeded(self) -> bool:
        return self._transfer.accepted and self.client.error is self.server.error is None


@pytest.fixture(params=["userspace-tcp", "userspace", "checksums"])
def stack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def trial() -> type[Trial]:
    return Trial
