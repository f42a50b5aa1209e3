"""netem's netlink encoding, against what tc(8) of iproute2 6.1 was seen to send."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from testbed.sandbox.netlink import tc
from testbed.sandbox.netlink.netem import (
    change_qdisc,
    difference,
    new_qdisc,
    parameters,
    read_parameters,
    uniform_table,
)
from testbed.wire.distribution import table
from testbed.wire.netem import Distribution, Netem

QOPT = struct.Struct("=6I")  # latency, limit, loss, gap, duplicate, jitter
OPTIONS = 2  # TCA_OPTIONS
CORR, DELAY_DIST, REORDER, CORRUPT, LOSS, RATE = 1, 2, 3, 4, 5, 6
ECN, RATE64, LATENCY64, JITTER64, SLOT, SLOT_DIST, SEED = 7, 8, 10, 11, 12, 13, 14
TICK_NS = 64  # the tick of the machine of the recorded messages (/proc/net/psched)

# tc qdisc replace dev v0 root netem ...: TCA_OPTIONS up to, without, the table of delays.
TC_ALL = (
    "delay 15ms 2ms 25% distribution normal loss 1.5% 10% duplicate 0.5% 5% corrupt 0.1% 3% "
    "reorder 20% 50% gap 5 rate 20mbit 14 48 5 limit 4321"
)
TC_ALL_SENT = bytes.fromhex(
    "5c200200"
    "87930300 e1100000 3d0ad703 05000000 14ae4701 127a0000"
    "10000100 00000040 9a999919 cdcccc0c"
    "0c000300 33333333 00000080"
    "0c000400 37894100 7b14ae07"
    "14000600 a0252600 0e000000 30000000 05000000"
)
TC_GEMODEL_SENT = bytes.fromhex(
    "34000200"
    "00000000 e8030000 00000000 00000000 00000000 00000000"
    "18000580 14000200 295c8f02 9a999919 cdcccc4c 37894100"
)
TC_FAST_SENT = bytes.fromhex(
    "3c000200"
    "00000000 e8030000 00000000 00000000 00000000 00000000"
    "0c000800 806e8774 01000000"
    "14000600 ffffffff 00000000 00000000 00000000"
)


def options(message: bytes) -> tuple[tuple[int, ...], dict[int, bytes]]:
    """Take TCA_OPTIONS of a request apart: ``tc_netem_qopt`` and attribute -> payload."""
    offset = 16 + 20  # struct nlmsghdr, struct tcmsg
    while offset < len(message):
        length, kind = struct.unpack_from("=HH", message, offset)
        if kind & 0x3FFF == OPTIONS:
            return split(message[offset : offset + length])
        offset += (length + 3) & ~3
    raise AssertionError("no TCA_OPTIONS")


def split(data: bytes) -> tuple[tuple[int, ...], dict[int, bytes]]:
    found = {}
    offset = 4 + QOPT.size
    while offset < len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return QOPT.unpack_from(data, 4), found


def test_all_options_are_sent_as_tc_sends_them() -> None:
    theirs, wanted = split(TC_ALL_SENT)
    ours, sent = options(new_qdisc(5, Netem.parse(TC_ALL), mtu=1500, seed=7))
    assert ours[1:5] == theirs[1:5]
    assert {kind: sent[kind] for kind in wanted} == wanted
    # tc 6.1 gives times in ticks; the kernel prefers these, in nanoseconds.
    assert struct.unpack("=q", sent[LATENCY64]) == (theirs[0] * TICK_NS,)
    assert abs(struct.unpack("=q", sent[JITTER64])[0] - theirs[5] * TICK_NS) <= TICK_NS
    normal = table(Distribution.NORMAL)
    assert normal is not None
    assert sent[DELAY_DIST] == normal.tobytes()
    assert sent[SEED] == struct.pack("=Q", 7)
    assert (set(sent[ECN]), set(sent[SLOT])) == ({0}, {0})
    assert set(sent) == {*wanted, LATENCY64, JITTER64, DELAY_DIST, SEED, ECN, SLOT}


def test_gilbert_elliott_is_sent_as_tc_sends_it() -> None:
    _, wanted = split(TC_GEMODEL_SENT)
    _, sent = options(new_qdisc(5, Netem.parse("loss gemodel 1% 10% 70% 0.1%"), 1500, 0))
    assert sent[LOSS] == wanted[LOSS]


def test_rate_beyond_32_bits_is_sent_as_tc_sends_it() -> None:
    _, wanted = split(TC_FAST_SENT)
    _, sent = options(new_qdisc(5, Netem.parse("rate 50gbit"), 1500, 0))
    assert {RATE: sent[RATE], RATE64: sent[RATE64]} == wanted


def test_change_names_every_option() -> None:
    """netem keeps correlations, rate and distribution that a message omits."""
    _, sent = options(change_qdisc(5, Netem(), mtu=1500, seed=0))
    for kind in (CORR, REORDER, CORRUPT, RATE, LATENCY64, JITTER64, ECN, SLOT):
        assert set(sent[kind]) == {0}
    assert sent[DELAY_DIST] == uniform_table().tobytes()


def test_slots_are_sent_in_both_forms() -> None:
    """struct tc_netem_slot; the kernel takes the last two where it has a table, which it keeps."""
    _, sent = options(new_qdisc(5, Netem.parse("slot 5ms 15ms packets 3 bytes 4kb"), 1500, 0))
    times = (5_000_000, 15_000_000, 3, 4096, 10_000_000, 5_000_000)
    assert struct.unpack("=qqiiqq", sent[SLOT]) == times
    assert sent[SLOT_DIST] == uniform_table().tobytes()
    text = "slot distribution normal 10ms 2ms"
    _, sent = options(change_qdisc(5, Netem.parse(text), 1500, 0))
    assert struct.unpack("=qqiiqq", sent[SLOT]) == (0, 0, 0, 0, 10_000_000, 2_000_000)
    normal = table(Distribution.NORMAL)
    assert normal is not None
    assert sent[SLOT_DIST] == normal.tobytes()


def test_uniform_table_is_even_and_centred() -> None:
    values = uniform_table()
    assert sum(values) == 0
    assert list(values) == sorted(values)
    assert -8192 <= values[0] < -8180
    assert len({b - a for a, b in pairwise(values)}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        TC_ALL,
        "loss gemodel 1% 10% 70% 0.1%",
        "loss state 1% 30% 20% 60% 2%",
        "rate 50gbit",
        "loss 2% ecn",
        "slot 20ms packets 10",
        "slot distribution pareto 10ms 3ms bytes 20kb",
        "delay 100ms",
        "rate 10mbit delay 20ms limit 2bdp",
    ],
)
def test_what_is_sent_reads_back_equal(text: str) -> None:
    netem = Netem.parse(text)
    found = tc.read(new_qdisc(5, netem, mtu=1500, seed=1))
    assert (found.index, found.parent, found.kind) == (5, tc.ROOT, "netem")
    assert read_parameters(found.attributes[tc.OPTIONS]) == parameters(netem, mtu=1500)


def test_limit_beyond_packets_becomes_packets() -> None:
    netem = Netem.parse("rate 12mbit delay 10ms limit 15140b")
    # Ten frames of 1514 octets queue, and 120,000 bits, ten frames, are on their way.
    assert parameters(netem, mtu=1500).limit == 20


def test_difference_names_only_what_differs() -> None:
    wanted = parameters(Netem.parse("delay 10ms loss 1%"), 1500)
    seen = parameters(Netem.parse("delay 10ms"), 1500)
    assert difference(wanted, seen) == (f"loss {wanted.loss}", "loss 0")
