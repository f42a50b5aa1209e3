"""The rate in front of which queues of the kernel wait: a class of htb."""

from __future__ import annotations

import socket

import pytest

from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import queues
from testbed.wire.netem import Rate
from tests.emulated import link
from tests.isolation import isolated

pytestmark = pytest.mark.sandbox


@isolated
def test_the_rate_is_what_it_was_told() -> None:
    link("a")
    index = socket.if_nametoindex("wire_a")
    rates = [
        Rate(bits_per_second=10_000_000),
        Rate(bits_per_second=80_000_000_000, burst=30_000, packet_overhead=4),
        Rate(bits_per_second=8000, cell_size=48, cell_overhead=5),
    ]
    with Netlink() as netlink:
        assert netlink.request(queues.new_shaper(index, rates[0], 1500)) == [None, None]
        for rate in rates:
            assert netlink.request([queues.change_shaper(index, rate, 1500)]) == [None]
            assert queues.read_shaper(netlink, index) == queues.shaper(rate)
