"""The way of an octet is as the documentation has it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from testbed import packet, stack
from testbed.packet.address import Address
from testbed.packet.codec import emit, parse
from tests.unit.stack.mptcp.network import Network

STACK = Path(stack.__file__).parent
PACKET = Path(packet.__file__).parent
PAGE = STACK.parent.parent / "docs" / "stack.md"


def documented() -> list[tuple[str, str]]:
    """Return file and function of each stop."""
    way = PAGE.read_text().split("## The way of one octet")[1].split("\n## ")[0]
    stops = re.findall(r"(\d+)\. `([a-z_/]+\.py)` `([A-Za-z_.]+)`", way)
    assert [int(number) for number, _, _ in stops] == list(range(1, len(stops) + 1))
    return [(file, function) for _, file, function in stops]


class Follower:
    """Notes each function of the stack that is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> Any:
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            return call(*arguments)
        finally:
            sys.setprofile(before)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call":
            for base, root in ((STACK, STACK), (PACKET, PACKET.parent)):
                if path.is_relative_to(base):
                    self.calls.append((str(path.relative_to(root)), frame.f_code.co_qualname))


@pytest.mark.interpreted
def test_an_octet_passes_each_stop_in_order() -> None:
    network = Network(1)
    network.server.endpoint.listen(Address("0.0.0.0", 80))
    sender = network.connect()
    network.run(1)
    (receiver,) = network.server.connections
    client, server = network.client.endpoint, network.server.endpoint
    follow = Follower()
    follow(sender.send, b"x")
    for segment in follow(client.segments_to_send, network.now):
        follow(server.receive, follow(parse, follow(emit, segment)), network.now)
    answers = follow(server.segments_to_send, network.now)
    assert follow(receiver.read, 10) == b"x"
    for segment in answers:
        follow(client.receive, segment, network.now)
    follow(client.segments_to_send, network.now)
    assert sender.unsent == 0
    calls = iter(follow.calls)
    missing = [stop for stop in documented() if stop not in calls]
    assert missing == []
    assert len(documented()) > 30
