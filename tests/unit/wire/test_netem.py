from __future__ import annotations

import contextlib
import shutil
import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.wire.netem import (
    OPTIONS,
    Corrupt,
    Delay,
    Distribution,
    Duplicate,
    FourStates,
    GilbertElliott,
    Limit,
    LimitUnit,
    Netem,
    RandomLoss,
    Rate,
    Reorder,
    Slot,
)

chances = st.integers(0, 10**6).map(lambda n: n / 10**6)
times = st.integers(1, 10**11)
jitters = st.integers(1, 2**31 - 1)
delays = st.builds(Delay, delay_ns=times) | st.builds(
    Delay,
    delay_ns=times,
    jitter_ns=jitters,
    correlation=chances,
    distribution=st.sampled_from(Distribution),
)
rates = st.builds(
    Rate,
    bits_per_second=st.integers(8, 10**12),
    packet_overhead=st.integers(-100, 100),
    cell_size=st.integers(10, 1000),
    cell_overhead=st.integers(-9, 100),
) | st.builds(Rate, bits_per_second=st.integers(8, 10**12))
marks = st.booleans()
losses = st.builds(RandomLoss, probability=chances, correlation=chances, ecn=marks) | st.builds(
    GilbertElliott, p=chances, r=chances, one_minus_h=chances, one_minus_k=chances, ecn=marks
)
halves = st.integers(0, 5 * 10**5).map(lambda n: n / 10**6)
losses |= st.builds(FourStates, p13=halves, p31=halves, p32=halves, p23=chances, p14=halves)
counts = st.integers(0, 2**31 - 1)
slots = st.builds(
    Slot,
    least_ns=times,
    most_ns=times.map(lambda time: time + 10**11),
    packets=counts,
    octets=counts,
) | st.builds(
    Slot,
    delay_ns=times,
    jitter_ns=jitters,
    distribution=st.sampled_from([each for each in Distribution if each != "uniform"]),
    packets=counts,
)
limits = st.builds(Limit, value=st.integers(1, 2**31 - 1), unit=st.sampled_from(LimitUnit))
netems = st.builds(
    Netem,
    limit=st.none() | limits,
    delay=delays,
    rate=rates,
    loss=st.none() | losses,
    reorder=st.none()
    | st.builds(Reorder, probability=chances, correlation=chances, gap=st.integers(0, 2**31 - 1)),
    duplicate=st.none() | st.builds(Duplicate, probability=chances, correlation=chances),
    corrupt=st.none() | st.builds(Corrupt, probability=chances, correlation=chances),
    slot=st.none() | slots,
) | st.builds(Netem, trace=st.text("ab /.'\"\\é-", min_size=1).map(lambda t: f"x{t}x"))


@given(netems)
def test_every_value_survives_writing(netem: Netem) -> None:
    assert Netem.parse(netem.to_tc()) == netem
    assert Netem.parse(netem.options()) == netem
    assert msgspec.json.decode(msgspec.json.encode(netem), type=Netem) == netem


@given(netems)
def test_setting_all_options_replaces_whatever_was_there(netem: Netem) -> None:
    old = Netem.parse("delay 1ms loss 5% rate 1mbit duplicate 1%")
    removed = dict.fromkeys(OPTIONS, "none")
    assert old.merge(removed | netem.options()) == netem


@given(
    st.lists(st.sampled_from([*OPTIONS, "gap", "distribution", "gemodel", "1%", "5ms", "x", "'"]))
)
def test_any_words_are_a_value_or_an_input_error(words: list[str]) -> None:
    with contextlib.suppress(InputError):
        Netem.parse(" ".join(words))


def test_no_options_is_an_unshaped_wire() -> None:
    assert Netem.parse("") == Netem.parse({}) == Netem()
    assert Netem().to_tc() == ""


def test_the_grammar_of_tc() -> None:
    netem = Netem.parse(
        "limit 500 delay 15ms 2ms 25% distribution normal loss random 1% 10% "
        "reorder 25% 50% gap 5 duplicate 0.1% corrupt 0.2% rate 20mbit 20 48 5"
    )
    assert netem == Netem(
        limit=Limit(value=500),
        delay=Delay(
            delay_ns=15_000_000,
            jitter_ns=2_000_000,
            correlation=0.25,
            distribution=Distribution.NORMAL,
        ),
        loss=RandomLoss(probability=0.01, correlation=0.1),
        reorder=Reorder(probability=0.25, correlation=0.5, gap=5),
        duplicate=Duplicate(probability=0.001),
        corrupt=Corrupt(probability=0.002),
        rate=Rate(bits_per_second=20_000_000, packet_overhead=20, cell_size=48, cell_overhead=5),
    )


def test_tc_aliases_and_parts_in_any_order() -> None:
    plain = Netem.parse("delay 10ms 1ms distribution pareto loss 1% reorder 5% gap 3")
    assert Netem.parse("gap 3 latency 10ms 1ms drop 1% distribution pareto reorder 5%") == plain


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("gemodel 1%", GilbertElliott(p=0.01, r=0.99)),
        ("gemodel 1% 10%", GilbertElliott(p=0.01, r=0.1)),
        ("gemodel 1% 10% 70%", GilbertElliott(p=0.01, r=0.1, one_minus_h=0.7)),
        (
            "gemodel 1% 10% 70% 0.1%",
            GilbertElliott(p=0.01, r=0.1, one_minus_h=0.7, one_minus_k=0.001),
        ),
        (2, RandomLoss(probability=0.02)),
        (0.5, RandomLoss(probability=0.005)),
    ],
)
def test_loss_models(text: str | float, loss: object) -> None:
    assert Netem.parse({"loss": text}).loss == loss


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("delai 10ms", "did you mean 'delay'?"),
        ("delay", "delay: a value is missing"),
        ("delay 10", "write 10s or 10ms"),
        ("delay 10ms 1ms 5% 7%", "unexpected '7%'"),
        ("delay 0ms 5ms", "jitter needs a delay"),
        ("delay 10ms 3s", "jitter is larger"),
        ("delay 10ms distribution normal", "needs jitter"),
        ("delay 5ms 1ms distribution norml", "did you mean 'normal'?"),
        ("delay 1ms delay 2ms", "given twice"),
        ({"delay": "1ms", "latency": "2ms"}, "given twice"),
        ("rate -5mbit", "cannot be negative"),
        ("rate 0", "at least 8bit"),
        ("rate 20mb", "did you mean 20mbit?"),
        ("rate 1mbit x", "not a whole number"),
        ("rate 1mbit 0 48 -48", "leaves nothing of a cell"),
        ("loss 101%", "loss: '101%' is not between"),
        ("loss gemodle 1%", "did you mean 'gemodel'?"),
        ("loss state", "state: p13 is missing"),
        ("loss state 60% 10% 0% 0% 50%", "add up to more than 100%"),
        ("loss ecn", "loss: ecn needs a model of loss"),
        ("ecn delay 1ms", "loss: ecn needs a model of loss"),
        ("slot packets 3", "slot: a time is missing"),
        ("slot 20ms 10ms", "slot: the longest time is shorter"),
        ("slot distribution normal 10ms", "slot: a delay and a jitter are missing"),
        ("slot distribution normel 10ms 1ms", "did you mean 'normal'?"),
        ("slot distribution normal 10ms 3s", "slot: jitter is larger"),
        ("slot 10ms packets -1", "slot: packets and bytes must be between"),
        ("slot 10ms pakets 5", "unexpected '5'; known: distribution, packets, bytes"),
        ("rate 1mbit slot 10ms queue fifo", "slot: cannot be combined with a queue"),
        ("reorder 5%", "reorder: needs a delay"),
        ("gap 5 delay 10ms", "reorder: a percentage is missing"),
        ("limit 0", "limit: must be more than 0"),
        ("limit 64kb", "needs a rate"),
        ("limit 1bdp rate 1mbit", "needs a delay"),
        ("limit 1.5555bdp rate 1mbit delay 1ms", "like 1.5bdp"),
        ("trace", "trace: a value is missing"),
        ("trace 'x", "No closing quotation"),
        ({"rate": True}, "rate: 'True' is not a rate"),
        ({"buffer": 5}, "unknown netem option 'buffer'"),
    ],
)
def test_impossible_options_are_explained(options: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        Netem.parse(options)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_merge_changes_the_named_options_only() -> None:
    netem = Netem.parse("rate 20mbit delay 15ms 2ms loss 1%")
    changed = netem.merge({"loss": "100%"})
    assert changed.to_tc() == "delay 15ms 2ms rate 20mbit loss 100%"
    assert changed.merge({"loss": "none", "delay": "5ms"}).to_tc() == "delay 5ms rate 20mbit"
    assert netem.to_tc() == "delay 15ms 2ms rate 20mbit loss 1%"


def test_merge_refuses_what_does_not_fit_together_any_more() -> None:
    netem = Netem.parse("rate 20mbit delay 15ms limit 1bdp")
    with pytest.raises(InputError, match="limit: in bdp it needs a rate"):
        netem.merge({"rate": "none"})


@pytest.mark.parametrize(
    ("text", "packets"),
    [
        ("", 1000),
        ("limit 50", 50),
        ("limit 50packets delay 100ms rate 100mbit", 50),
        # A frame is 1514 octets; rate x delay is in flight on top of the queue.
        ("limit 15140b rate 10mbit", 10),
        ("limit 15141b rate 10mbit", 11),
        ("limit 15140b rate 10mbit delay 12112us", 10 + 10),
        ("limit 100ms rate 12112kbit", 100),
        ("limit 1bdp rate 12112kbit delay 50ms", 100 + 50),
        ("limit 0.5bdp rate 12112kbit delay 50ms", 50 + 50),
        ("limit 1b rate 10mbit", 1),
    ],
)
def test_limits_in_packets_as_netem_counts_them(text: str, packets: int) -> None:
    assert Netem.parse(text).limit_packets(1500) == packets


def test_a_limit_on_a_trace_uses_its_mean_rate() -> None:
    netem = Netem.parse("trace x limit 100ms")
    assert netem.limit_packets(1500, bits_per_second=12_112_000) == 100


@pytest.mark.skipif(shutil.which("tc") is None, reason="no tc to compare with")
@pytest.mark.parametrize(
    "text", ["delay 10ms 1ms 25%", "loss gemodel 1% 10% 100% 0%", "rate 1mbit 20 48 5"]
)
def test_tc_itself_reads_what_is_written(text: str) -> None:
    words = Netem.parse(text).to_tc().split()
    command = ["tc", "qdisc", "add", "dev", "no-such-device", "root", "netem", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Cannot find device" in result.stderr  # tc has accepted the options
