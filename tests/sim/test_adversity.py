"""Named trials: what one adversity does to both stacks."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from testbed.middlebox.nat import Nat
from testbed.middlebox.options import StripOptions
from testbed.middlebox.replay import Replay
from testbed.middlebox.segmentation import Coalesce, Split
from testbed.middlebox.segments import always, on_data, on_handshake
from testbed.middlebox.sequence import RewriteSequence
from testbed.middlebox.syn_proxy import SynProxy
from testbed.packet.mptcp import AddAddr, Dss, MptcpOption
from testbed.packet.options import SackPermitted, Timestamps, WindowScale

LINKS = ("wifi", "lte")


@pytest.mark.parametrize(
    "options",
    ["", "loss 3%", "loss gemodel 1% 20% 60% 0%", "reorder 20%", "duplicate 20%", "corrupt 3%"],
)
def test_everything_arrives_over_a_bad_link(trial: Any, stack: str, options: str) -> None:
    done = trial(stack, netem=dict.fromkeys(LINKS, options)).run()
    assert done.succeeded(), (done.client.error, done.server.error)


def everywhere(*make: Any) -> Any:
    """Put boxes of a kind on both links; a box is made for each."""
    return lambda network: {link: [each() for each in make] for link in LINKS}


HARMLESS = {
    "rewritten sequence numbers": everywhere(lambda: RewriteSequence(7)),
    "split segments": everywhere(lambda: Split(500)),
    "no timestamps": everywhere(lambda: StripOptions(Timestamps)),
    "no window scaling": everywhere(lambda: StripOptions(WindowScale, where=on_handshake)),
    "no SACK": everywhere(lambda: StripOptions(SackPermitted)),
    "no ADD_ADDR": everywhere(lambda: StripOptions(AddAddr)),
    "no MPTCP on SYN": everywhere(lambda: StripOptions(MptcpOption, where=on_handshake)),
    "SYN proxy": everywhere(lambda: SynProxy(Random(3), protects="b", mss=1400, window_scale=7)),
    "no MPTCP at all": everywhere(lambda: StripOptions(MptcpOption)),
    "no MPTCP after SYN": everywhere(lambda: StripOptions(MptcpOption, where=on_data)),
    "replayed segments": everywhere(
        lambda: Replay(Random(1), chance=0.2, delays_ns=(10_000_000, 400_000_000))
    ),
    "replayed SYNs": everywhere(
        lambda: Replay(
            Random(2), chance=1, delays_ns=(50_000_000, 3_000_000_000), where=on_handshake
        )
    ),
}


@pytest.mark.parametrize("boxes", HARMLESS.values(), ids=HARMLESS.keys())
def test_everything_arrives_through_middleboxes(trial: Any, stack: str, boxes: Any) -> None:
    done = trial(stack, boxes=boxes).run()
    assert done.succeeded(), (done.client.error, done.server.error)


def test_coalesced_segments_end_well_or_with_an_error(trial: Any, stack: str) -> None:
    done = trial(stack, boxes=everywhere(lambda: Coalesce(4000))).run()
    assert done.succeeded() or stack != "userspace-tcp"


def test_everything_arrives_through_a_translator(trial: Any, stack: str) -> None:
    def boxes(network: Any) -> Any:
        return {"wifi": [Nat("10.0.1.99", outside="b")], "lte": [Nat("10.0.2.99", outside="b")]}

    done = trial(stack, boxes=boxes).run()
    assert done.succeeded(), (done.client.error, done.server.error)


@pytest.mark.parametrize("toward", ["a", "b"])
@pytest.mark.parametrize("where", [on_handshake, on_data, always])
def test_options_may_vanish_in_one_direction(
    trial: Any, stack: str, where: Any, toward: str
) -> None:
    trial(
        stack, boxes=everywhere(lambda: StripOptions(MptcpOption, where=where, toward=toward))
    ).run()


@pytest.mark.parametrize("toward", ["a", "b", None])
@pytest.mark.parametrize("sizes", [(1, 1), (0, 100_000), (200_000, 0), (200_000, 100_000)])
def test_a_connection_ends_when_only_its_mappings_vanish(
    trial: Any, stack: str, toward: str | None, sizes: tuple[int, int]
) -> None:
    """RFC 8684, section 3.7: one end falls back, and the other must not go on with MPTCP."""

    def boxes(network: Any) -> Any:
        return {"wifi": [StripOptions(Dss, where=on_data, toward=toward)]}

    trial(stack, boxes=boxes, sizes=sizes).run()
