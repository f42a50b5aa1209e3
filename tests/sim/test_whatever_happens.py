"""On any network, a stream arrives whole and in order, or ends with an error.

A trial that exceeds the limit of its virtual time fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testbed.middlebox.base import Middlebox
from testbed.middlebox.nat import Nat
from testbed.middlebox.options import StripOptions
from testbed.middlebox.replay import Replay
from testbed.middlebox.segmentation import Coalesce, Split
from testbed.middlebox.segments import always, on_data, on_handshake
from testbed.middlebox.sequence import RewriteSequence
from testbed.packet.mptcp import AddAddr, Dss, MpCapable, MptcpOption
from testbed.packet.options import Sack, SackPermitted, Timestamps, WindowScale

LINKS = ("wifi", "lte")

examples = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def impairments(draw: st.DrawFn) -> str:
    """Draw what a link does, beside its rate and delay."""
    options = {
        "loss": st.sampled_from(["", "loss 1%", "loss 8%", "loss gemodel 2% 30% 60% 0%"]),
        "reorder": st.sampled_from(["", "", "reorder 10%", "reorder 50% gap 5"]),
        "duplicate": st.sampled_from(["", "", "duplicate 5%"]),
        "corrupt": st.sampled_from(["", "", "corrupt 4%"]),
    }
    return " ".join(filter(None, (draw(choice) for choice in options.values())))


wheres = st.sampled_from([on_handshake, on_data, always])
options = st.sampled_from(
    [MptcpOption, MpCapable, Dss, AddAddr, Timestamps, SackPermitted, Sack, WindowScale]
)
towards = st.sampled_from(["a", "b", None])
# Each draws a factory of boxes: a trial needs separate boxes.
boxes: st.SearchStrategy[Callable[[], Middlebox]] = st.one_of(
    st.tuples(options, wheres, towards).map(
        lambda drawn: lambda: StripOptions(drawn[0], where=drawn[1], toward=drawn[2])
    ),
    st.integers(0, 9).map(lambda seed: lambda: RewriteSequence(seed)),
    st.integers(100, 1400).map(lambda size: lambda: Split(size)),
    st.integers(1500, 9000).map(lambda limit: lambda: Coalesce(limit)),
    st.tuples(st.integers(0, 9), wheres, st.integers(1, 3_000)).map(
        lambda drawn: (
            lambda: Replay(
                Random(drawn[0]), chance=0.1, delays_ns=(drawn[2] * 1_000_000,), where=drawn[1]
            )
        )
    ),
)


@st.composite
def events(draw: st.DrawFn) -> tuple[float, str, str]:
    """Draw a moment, a link, and what happens to it."""
    return (
        draw(st.integers(0, 3000)) / 1000,
        draw(st.sampled_from(LINKS)),
        draw(st.sampled_from(["down", "up", "blackhole", "light"])),
    )


@examples
@given(wifi=impairments(), lte=impairments(), seed=st.integers(0, 2**32))
def test_bad_links(trial: Any, stack: str, wifi: str, lte: str, seed: int) -> None:
    done = trial(stack, netem={"wifi": wifi, "lte": lte}, seed=seed).run()
    assert done.succeeded(), (done.client.error, done.server.error)


@examples
@given(
    makers=st.fixed_dictionaries({link: st.lists(boxes, max_size=2) for link in LINKS}),
    seed=st.integers(0, 2**32),
)
def test_middleboxes(
    trial: Any, stack: str, makers: dict[str, Sequence[Callable[[], Middlebox]]], seed: int
) -> None:
    def made(_: Any) -> dict[str, Sequence[Middlebox]]:
        return {link: [make() for make in each] for link, each in makers.items()}

    trial(stack, boxes=made, seed=seed).run()


@examples
@given(happen=st.lists(events(), max_size=5), seed=st.integers(0, 2**32))
def test_link_failures(
    trial: Any, stack: str, happen: list[tuple[float, str, str]], seed: int
) -> None:
    trial(stack, changes=happen, sizes=(700_000, 200_000), seed=seed).run()


@examples
@given(
    wifi=impairments(),
    makers=st.lists(boxes, max_size=2),
    happen=st.lists(events(), max_size=3),
    nat=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_everything_at_once(
    trial: Any,
    stack: str,
    wifi: str,
    makers: list[Callable[[], Middlebox]],
    happen: list[tuple[float, str, str]],
    nat: bool,
    seed: int,
) -> None:
    def made(_: Any) -> dict[str, Sequence[Middlebox]]:
        chain = [make() for make in makers]
        return {"wifi": [*chain, Nat("10.0.1.99", outside="b")] if nat else chain}

    trial(stack, netem={"wifi": wifi}, boxes=made, changes=happen, seed=seed).run()
