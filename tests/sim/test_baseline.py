"""Every packet of some seeded transfers, against ``baseline.json``.

A change of the stack that must not be seen on the wire leaves the file as it is.  One that must be
writes it again, with ``TESTBED_REWRITE_BASELINES=1`` in the environment, and its commit says which
values change and why.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.sim.middlebox import Middlebox, Nat, RewritePayload, Split, StripOptions
from testbed.sim.middlebox.options import on_data, on_syn
from testbed.stack.packet.codec import emit
from testbed.stack.packet.mptcp import MptcpOption
from testbed.stack.packet.segment import Segment

FILE = Path(__file__).with_name("baseline.json")
REWRITE = bool(os.environ.get("TESTBED_REWRITE_BASELINES"))
LINKS = ("wifi", "lte")
TEXT = b"what the box looks for: 10.0.0.1, and so on. " * 2_000


class Tap(Middlebox):
    """Adds each segment that passes, and when, to a digest."""

    def __init__(self, link: str, digest: Any) -> None:
        self._link = link
        self._digest = digest
        self.segments = 0
        self.last_ns = 0

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        self._digest.update(f"{self._link} {toward} {now} ".encode() + emit(segment))
        self.segments += 1
        self.last_ns = now
        return (segment,)


class Tapped:
    """Puts a tap on each link, nearest to the client, in front of what else is to stand there."""

    def __init__(self, **boxes: Any) -> None:
        self._digest = hashlib.sha256()
        self._taps = {link: Tap(link, self._digest) for link in LINKS}
        self._boxes = boxes

    def __call__(self, _: Any) -> dict[str, Sequence[Middlebox]]:
        return {link: [tap, *self._more(link)] for link, tap in self._taps.items()}

    def _more(self, link: str) -> Sequence[Middlebox]:
        make = self._boxes.get(link)
        return () if make is None else (make(),)

    def report(self) -> dict[str, object]:
        return {
            "segments": {link: tap.segments for link, tap in self._taps.items()},
            "last_ms": max(tap.last_ns for tap in self._taps.values()) // 1_000_000,
            "digest": self._digest.hexdigest()[:16],
        }


def bad(options: str) -> dict[str, Any]:
    return {"netem": dict.fromkeys(LINKS, options), "sizes": (800_000, 300_000)}


TRIALS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "tcp": ("userspace-tcp", bad("loss 1%"), {}),
    "plain": ("userspace", {"sizes": (2_000_000, 10)}, {}),
    "plain, back": ("userspace", {"sizes": (0, 2_000_000)}, {}),
    "loss": ("userspace", bad("loss 3%"), {}),
    "checksums, loss": ("checksums", bad("loss 3%"), {}),
    "reordering and duplicates": ("userspace", bad("reorder 20% duplicate 5%"), {}),
    "corruption": ("checksums", bad("corrupt 3%"), {}),
    "a link goes and comes": (
        "userspace",
        {"sizes": (900_000, 200_000), "changes": [(0.1, "wifi", "down"), (0.4, "wifi", "up")]},
        {},
    ),
    "a link becomes a black hole": (
        "userspace",
        {"sizes": (900_000, 200_000), "changes": [(0.15, "lte", "blackhole")]},
        {},
    ),
    "split segments": ("userspace", {}, {"wifi": lambda: Split(500)}),
    "a translator": ("userspace", {}, {"wifi": lambda: Nat("10.0.1.99", outside="b")}),
    "no MPTCP on SYN": (
        "userspace",
        {},
        {"wifi": lambda: StripOptions(MptcpOption, where=on_syn)},
    ),
    "no MPTCP after SYN": (
        "userspace",
        {},
        {"wifi": lambda: StripOptions(MptcpOption, where=on_data)},
    ),
    "changed data on one path": (
        "checksums",
        {"sizes": (TEXT, TEXT)},
        {"lte": lambda: RewritePayload(b"10.0.0.1", b"1.1.1.1", toward="b", after=0)},
    ),
}


@pytest.mark.parametrize("name", TRIALS)
def test_packets_are_those_of_the_baseline(trial: Any, name: str) -> None:
    stack, options, boxes = TRIALS[name]
    tapped = Tapped(**boxes)
    done = trial(stack, boxes=tapped, **options).run()
    found = {**tapped.report(), "succeeded": done.succeeded()}
    expected = json.loads(FILE.read_text()) if FILE.exists() else {}
    if REWRITE:
        expected[name] = found
        kept = {key: expected[key] for key in TRIALS if key in expected}
        FILE.write_text(json.dumps(kept, indent=1) + "\n")
    assert found == expected[name]
