"""Numbers that wrap in the middle of a transfer: sequence numbers, timestamps, DSNs, Data ACKs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from testbed.packet.address import Address
from testbed.packet.codec import split
from testbed.packet.mptcp import Dss
from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.mptcp import crypto
from testbed.stack.tcp import endpoint

S = 1_000_000_000
DATA = random.Random(8).randbytes(120_000)
BELOW = 40_000  # octets before a wrap


def _narrow(option: Option) -> Option:
    """Return a DSS in its 4-octet forms."""
    if not isinstance(option, Dss):
        return option
    return msgspec.structs.replace(
        option,
        wide_ack=False,
        wide_dsn=False,
        data_ack=None if option.data_ack is None else option.data_ack & BITS_32,
        dsn=None if option.dsn is None else option.dsn & BITS_32,
    )


class _Reordering:
    """Lets every fifth segment of a direction come after the three that follow it."""

    def __init__(self, *, narrow: bool) -> None:
        self._narrow = narrow
        self._held: list[Segment] = []
        self._count = 0

    def __call__(self, segment: Segment) -> Sequence[Segment]:
        out: list[Segment] = []
        for one in split(segment):
            if self._narrow:
                one = msgspec.structs.replace(one, options=tuple(map(_narrow, one.options)))
            self._count += 1
            if self._count % 5 == 0 and one.payload:
                self._held.append(one)
            else:
                out.append(one)
            if self._count % 5 == 3 and self._held:
                out += self._held
                self._held = []
        return out


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-1", "3.3.1-MUST-3", "3.3.1-MUST-4", "3.3.1-MUST-5")
@pytest.mark.parametrize("narrow", [False, True], ids=["64 bits", "32 bits"])
@pytest.mark.parametrize("wrap", [1 << 32, 1 << 63, 1 << 64])
@pytest.mark.parametrize(("paths", "checksum"), [(1, False), (2, False), (2, True)])
def test_transfer_across_wraps(
    network: Any,
    monkeypatch: pytest.MonkeyPatch,
    paths: int,
    wrap: int,
    narrow: bool,
    checksum: bool,
) -> None:
    """All of them wrap, each way, with loss and reordering."""
    monkeypatch.setattr(endpoint, "initial_sequence_number", lambda *_: BITS_32 - BELOW)
    monkeypatch.setattr(endpoint, "timestamp_offset", lambda *_: BITS_32 - 100)
    monkeypatch.setattr(crypto, "initial_dsn", lambda _key: wrap - BELOW)
    net = network(paths, checksum=checksum)
    for number in range(paths):
        for path in net.path(number):
            path.loss = 0.02
            path.filter = _Reordering(narrow=narrow)
    net.server.endpoint.listen(Address("0.0.0.0", 80))
    connection = net.connect()
    net.client.connections.append(connection)
    net.client.send(connection, DATA)

    def done() -> bool:
        if net.server.connections and net.server.connections[0] not in net.server.to_send:
            net.server.send(net.server.connections[0], DATA[::-1])
        return bool(net.server.connections) and all(
            one.closed for one in (connection, net.server.connections[0])
        )

    net.run(120, done)
    (accepted,) = net.server.connections
    assert bytes(net.server.received[accepted]) == DATA
    assert bytes(net.client.received[connection]) == DATA[::-1]
    assert (net.client.failure(connection), net.server.failure(accepted)) == ("", "")
    assert not connection.fallback
