"""Every packet of transfers that no experiment can be, against ``baseline.json``.

An experiment's run that falls back to TCP does not count, and its payload does not hold a given
text; all else is kept as experiments, see :mod:`tests.sim.test_kept_baselines`.  A change of the
stack that must not be seen on the wire leaves the file as it is.  One that must be writes it again,
with ``TESTBED_REWRITE_BASELINES=1`` in the environment, and its commit says which values change and
why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.middlebox.base import Middlebox
from testbed.middlebox.options import StripOptions
from testbed.middlebox.payload import RewritePayload
from testbed.middlebox.segments import on_data, on_handshake
from testbed.packet.mptcp import MptcpOption
from testbed.sim.digest import Digest
from testbed.sim.network import Network

FILE = Path(__file__).with_name("baseline.json")
REWRITE = bool(os.environ.get("TESTBED_REWRITE_BASELINES"))
TEXT = b"what the box looks for: 10.0.0.1, and so on. " * 2_000


class Watched:
    """Puts boxes on links, and sums up every packet."""

    def __init__(self, **boxes: Any) -> None:
        self._boxes = boxes
        self.digest = Digest()

    def __call__(self, network: Network) -> dict[str, Sequence[Middlebox]]:
        self.digest = network.digest()
        return {link: [make()] for link, make in self._boxes.items()}


TRIALS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "no MPTCP on SYN": (
        "userspace",
        {},
        {"wifi": lambda: StripOptions(MptcpOption, where=on_handshake)},
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
    watched = Watched(**boxes)
    done = trial(stack, boxes=watched, **options).run()
    found = {
        "frames": watched.digest.frames,
        "digest": watched.digest.hexdigest()[:16],
        "succeeded": done.succeeded(),
    }
    expected = json.loads(FILE.read_text()) if FILE.exists() else {}
    if REWRITE:
        expected[name] = found
        kept = {key: expected[key] for key in TRIALS if key in expected}
        FILE.write_text(json.dumps(kept, indent=1) + "\n")
    assert found == expected[name]
