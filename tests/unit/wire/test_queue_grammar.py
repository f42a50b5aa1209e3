"""Queues as text, as mappings and as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.wire.netem import Limit, LimitUnit, Netem
from testbed.wire.queues import grammar
from testbed.wire.queues.kinds import Codel, Fifo, FqCodel, Pie, Queue, Red

MS = 10**6
counts = st.integers(1, 2**31 - 1)
times = st.integers(1, 2**31)
marks = st.booleans()
sizes = st.integers(100_000, 10**6)
queues = (
    st.builds(Fifo, limit=st.builds(Limit, value=counts, unit=st.sampled_from(LimitUnit)))
    | st.builds(Codel, limit=counts, target=times, interval=times, ecn=marks, ce_threshold=times)
    | st.builds(
        FqCodel,
        limit=counts,
        flows=st.integers(1, 65536),
        target=times,
        interval=times,
        quantum=st.just(0) | st.integers(256, 2**20),
        ecn=marks,
        ce_threshold=times,
        drop_batch=counts,
    )
    | st.builds(
        Pie,
        limit=counts,
        target=times,
        tupdate=times,
        alpha=st.integers(0, 32),
        beta=st.integers(0, 32),
        ecn=marks,
        bytemode=marks,
    )
    | st.builds(
        Red,
        limit=sizes,
        probability=st.integers(1, 10**6).map(lambda n: n / 10**6),
        ecn=marks,
        harddrop=marks,
    )
)


@given(queues)
def test_what_is_written_reads_as_the_same(queue: Queue) -> None:
    assert grammar.read(grammar.write(queue)) == queue


@given(queues)
def test_a_wire_with_a_queue_reads_as_the_same(queue: Queue) -> None:
    netem = Netem.parse(f"delay 10ms rate 10mbit burst 3kb queue {grammar.write(queue)}")
    assert Netem.parse(netem.to_tc()) == netem


def test_the_defaults_are_those_of_tc() -> None:
    assert grammar.read("codel") == Codel(limit=1000, target=5 * MS, interval=100 * MS, ecn=False)
    assert grammar.read("fq_codel") == FqCodel(limit=10240, flows=1024, ecn=True, drop_batch=64)
    assert grammar.read("pie") == Pie(target=15 * MS, tupdate=15 * MS, alpha=2, beta=20)
    red = grammar.read("red limit 400kb avpkt 1000")
    assert isinstance(red, Red)
    # tc-red(8): max is limit/4, min is max/3, burst is (2 min + max) / (3 avpkt).
    assert red.thresholds == (34133, 102400)
    assert red.packets_at_once == 56


def test_a_mapping_says_the_same_as_words() -> None:
    mapping = {"kind": "fq_codel", "target": "2ms", "ecn": False}
    assert Netem.parse({"rate": "1mbit", "queue": mapping}) == Netem.parse(
        "rate 1mbit queue fq_codel target 2ms noecn"
    )


def test_words_behind_a_queue_are_its_own() -> None:
    netem = Netem.parse("rate 1mbit delay 5ms queue red limit 60kb burst 20 min 10kb max 30kb")
    assert netem.rate is not None
    assert netem.rate.burst == 0
    assert netem.queue == Red(limit=61440, burst=20, min=10240, max=30720)


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ("rate 1mbit queue fqcodel", "there is no queue 'fqcodel'", "fq_codel"),
        ("rate 1mbit queue codel traget 5ms", "codel has no option 'traget'", "target"),
        ("rate 1mbit queue codel target", "target: a value is missing", None),
        ("rate 1mbit queue codel target 5", "a time without a unit", None),
        ("rate 1mbit queue codel target 5ms target 6ms", "target: given twice", None),
        ("rate 1mbit queue codel limit 0", "limit: must be more than 0", None),
        ("rate 1mbit queue pie alpha 40", "alpha: must be between 0 and 32", None),
        ("rate 1mbit queue fq_codel quantum 10b", "quantum: must be between", None),
        ("rate 1mbit queue red", "red needs a limit", None),
        ("rate 1mbit queue red limit 9kb min 9kb max 9kb", "must be below max", None),
        ("rate 1mbit queue red limit 400kb burst 2", "burst: 2 is too small", "35"),
        ("rate 1mbit queue red limit 60kb probability 2", "probability: must be above 0", None),
        ("queue codel", "queue: needs a rate", None),
        ("rate 1mbit limit 10 queue codel", "limit: cannot be combined with a queue", None),
        ("rate 1mbit burst 10kb", "rate: a burst needs a queue", None),
        ("rate 1mbit queue fifo limit 1bdp", "queue: a limit in bdp needs a delay", None),
    ],
)
def test_mistakes_are_named(options: str, says: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        Netem.parse(options)
    assert says in caught.value.message
    if hint is not None:
        assert hint in (caught.value.hint or "")
