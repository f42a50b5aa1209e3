"""Boxes that edit payloads: DSS checksums notice, and MPTCP gives way (RFC 8684, section 3.7)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from testbed.middlebox.base import Middlebox
from testbed.middlebox.payload import RewritePayload
from testbed.sim.network import Network

FIND = b"10.0.0.1"
REPLACEMENTS = {"same length": b"10.0.0.2", "longer": b"192.168.100.1", "shorter": b"1.1.1.1"}


def text(size: int, seed: int, *, every: int = 9_000) -> bytes:
    """Return letters with what the box looks for here and there."""
    random = Random(seed)
    piece = [random.choices(b"abcdefghijklmnopqrstuvwxyz\n", k=every - len(FIND)) for _ in range(9)]
    return b"".join(bytes(each) + FIND for each in piece * (size // every // 9 + 1))[:size]


def boxes(links: Sequence[str], replacement: bytes, toward: str, after: int) -> Any:
    def made(_: Network) -> dict[str, Sequence[Middlebox]]:
        ends = "ab" if toward == "both" else toward
        return {
            link: [RewritePayload(FIND, replacement, toward=end, after=after) for end in ends]
            for link in links
        }

    return made


def restored(replacement: bytes) -> Any:
    return lambda octets: octets.replace(replacement, FIND)


@pytest.mark.parametrize("toward", ["a", "b", "both"])
@pytest.mark.parametrize("replacement", REPLACEMENTS.values(), ids=REPLACEMENTS.keys())
@pytest.mark.parametrize("netem", ["", "loss 3%", "reorder 20%", "duplicate 20%"])
def test_box_on_one_path_cannot_change_data(
    trial: Any, netem: str, replacement: bytes, toward: str
) -> None:
    """The subflow through it is reset, and everything arrives over the other as it was sent."""
    done = trial(
        "checksums",
        netem={"wifi": netem, "lte": netem},
        boxes=boxes(["lte"], replacement, toward, 0),
        sizes=(text(200_000, 1), text(100_000, 2)),
    ).run()
    assert done.succeeded(), (done.client.error, done.server.error)


@pytest.mark.parametrize("toward", ["a", "b", "both"])
@pytest.mark.parametrize("replacement", REPLACEMENTS.values(), ids=REPLACEMENTS.keys())
@pytest.mark.parametrize("after", [0, 30_000])
@pytest.mark.parametrize("netem", ["", "loss 3%", "loss 5% reorder 5% duplicate 5%"])
def test_box_on_the_only_path_makes_it_plain_tcp(
    trial: Any, netem: str, after: int, replacement: bytes, toward: str
) -> None:
    """The data arrives as the box changed it, as with TCP."""
    done = trial(
        "checksums",
        netem={"wifi": netem},
        boxes=boxes(["wifi"], replacement, toward, after),
        changes=[(0, "lte", "blackhole")],
        sizes=(text(100_000, 1), text(50_000, 2)),
        restore=restored(replacement),
    ).run()
    assert done.succeeded(), (done.client.error, done.server.error)
    assert replacement in done.client.changed + done.server.changed


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("replacement", REPLACEMENTS.values(), ids=REPLACEMENTS.keys())
def test_boxes_on_all_paths(trial: Any, replacement: bytes, seed: int) -> None:
    """The rest of the stream continues as plain TCP, or ends with an error."""
    trial(
        "checksums",
        netem=dict.fromkeys(("wifi", "lte"), "loss 1% reorder 2%"),
        boxes=boxes(["wifi", "lte"], replacement, "both", 20_000),
        sizes=(text(100_000, 1), text(50_000, 2)),
        restore=restored(replacement),
        seed=seed,
    ).run()


def test_box_changes_data_unseen_without_checksums(trial: Any) -> None:
    """Checksums exist for this case."""
    done = trial(
        "userspace",
        boxes=boxes(["wifi", "lte"], REPLACEMENTS["same length"], "b", 0),
        sizes=(text(100_000, 1), 10),
        restore=restored(REPLACEMENTS["same length"]),
    ).run()
    assert done.succeeded()
    assert REPLACEMENTS["same length"] in done.server.changed
