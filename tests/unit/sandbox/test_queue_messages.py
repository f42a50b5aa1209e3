"""Queues of wires as the kernel's qdiscs: what is sent reads back as the same."""

from __future__ import annotations

import pytest

from testbed.errors import PlatformError
from testbed.sandbox.netlink import direction, queues, tc
from testbed.sandbox.observation import QdiscState
from testbed.wire.netem import Netem, Rate

KINDS = (
    "fifo limit 50",
    "fifo limit 30ms",
    "codel",
    "codel target 3ms interval 50ms ecn ce_threshold 1ms",
    "fq_codel flows 64 quantum 300b noecn drop_batch 8",
    "pie target 10ms tupdate 20ms alpha 3 beta 25 ecn bytemode",
    "red limit 100kb min 10kb max 40kb probability 30% ecn harddrop",
)


def wire(queue: str, rate: str = "10mbit") -> Netem:
    return Netem.parse(f"rate {rate} delay 5ms queue {queue}")


@pytest.mark.parametrize("queue", KINDS)
def test_a_discipline_reads_back_as_it_was_sent(queue: str) -> None:
    netem = wire(queue)
    message = tc.read(queues.new_queue(3, netem, 1500))
    found = queues.read_parameters(message)
    assert found is not None
    kind, options = found
    assert kind == queue.split(maxsplit=1)[0]
    assert queues.agree(queues.parameters(netem, 1500), _as_dumped(options, kind), kind)


def _as_dumped(options: dict[str, int], kind: str) -> dict[str, int]:
    """Round as the kernel does: to 1024 ns (codel), or to 64 ns (pie)."""
    times = ("target", "interval", "ce_threshold")
    bits = {"codel": 10, "fq_codel": 10, "pie": 6}.get(kind, 0)
    return {
        name: (value * 1000 >> bits << bits) // 1000 if name in times else value
        for name, value in options.items()
    }


def test_the_kernel_rounds_times_and_is_believed() -> None:
    wanted = {"target": 5000, "interval": 100_000, "limit": 1000}
    assert queues.agree(wanted, {"target": 4999, "interval": 99_999, "limit": 1000}, "codel")
    assert not queues.agree(wanted, {"target": 4900, "interval": 99_999, "limit": 1000}, "codel")
    assert queues.agree({"tupdate": 15_000}, {"tupdate": 20_000}, "pie")
    assert not queues.agree({"tupdate": 15_000}, {"tupdate": 30_000}, "pie")
    assert not queues.agree({"limit": 5}, {}, "fifo")


@pytest.mark.parametrize(
    ("rate", "why"), [("10mbit -14", "an overhead of -14"), ("10mbit 0 100 5", "cells of 100")]
)
def test_what_htb_cannot_have_is_the_emulators(rate: str, why: str) -> None:
    error = direction.impossible(wire("codel", rate), "wifi")
    assert error is not None
    assert why in str(error)
    assert direction.impossible(Netem.parse(f"rate {rate}"), "wifi") is None
    assert direction.impossible(wire("codel", "10mbit 4 48 5"), "wifi") is None


def test_only_what_changes_is_changed() -> None:
    old = wire("codel")

    def requests(text: str) -> int:
        return len(direction.change(3, old, Netem.parse(text), 1500, 1))

    assert requests("rate 10mbit delay 5ms queue codel") == 0
    assert requests("rate 20mbit delay 5ms queue codel") == 1
    assert requests("rate 10mbit delay 6ms queue codel target 1ms") == 2


@pytest.mark.parametrize("other", ["rate 10mbit delay 5ms", "rate 10mbit delay 5ms queue pie"])
def test_the_kind_of_a_queue_is_not_changed_under_what_waits(other: str) -> None:
    with pytest.raises(PlatformError, match="cannot change the queue"):
        direction.change(3, wire("codel"), Netem.parse(other), 1500, 1)


SENT = Netem.parse("rate 10mbit delay 20ms loss 1% limit 20")


def test_at_the_sender_htb_has_the_rate_and_netem_the_rest_with_the_limit() -> None:
    """As in Mininet (mininet/link.py): a class of htb, and netem below it."""
    found = direction.layers(SENT, 1500, at_sender=True)
    assert found.rate == Rate(bits_per_second=10_000_000, burst=1600)
    assert found.netem == Netem.parse("delay 20ms loss 1% limit 20")
    assert found.queue is None
    assert direction.needed(SENT, at_sender=True) == ("netem", "htb")
    requests = direction.build(3, SENT, 1500, 1, at_sender=True)
    assert [(it.handle, it.parent) for it in map(tc.read, requests)] == [
        (queues.HTB, tc.ROOT),
        (queues.CLASS, queues.HTB),
        (queues.NETEM, queues.CLASS),
    ]


def test_at_the_sender_a_limit_in_octets_becomes_packets_before_the_rate_is_gone() -> None:
    netem = Netem.parse("rate 10mbit delay 20ms limit 30kb")
    found = direction.layers(netem, 1500, at_sender=True)
    assert found.netem.limit_packets(1500) == netem.limit_packets(1500) == 38


def test_at_the_sender_without_a_rate_there_is_netem_alone() -> None:
    netem = Netem.parse("delay 20ms")
    assert direction.layers(netem, 1500, at_sender=True).rate is None
    assert direction.needed(netem, at_sender=True) == ("netem",)
    assert len(direction.build(3, netem, 1500, 1, at_sender=True)) == 1


def test_at_the_sender_only_what_changes_is_changed() -> None:
    def requests(text: str) -> int:
        return len(direction.change(3, SENT, Netem.parse(text), 1500, 1, at_sender=True))

    assert requests(SENT.to_tc()) == 0
    assert requests("rate 20mbit delay 20ms loss 1% limit 20") == 1
    assert requests("rate 20mbit delay 30ms") == 2
    with pytest.raises(PlatformError, match="cannot add or remove a rate at the sender"):
        requests("delay 20ms")


def test_at_the_sender_tc_is_told_of_both() -> None:
    assert direction.commands(SENT, 1500, at_sender=True) == (
        "{0} class change {1} parent 1: classid 1:1 htb rate 10mbit burst 1600b",
        "{0} qdisc change {1} parent 1:1 handle 10: netem limit 20 delay 20ms loss 1%",
    )
    error = direction.impossible(Netem.parse("rate 10mbit -14"), "wifi", at_sender=True)
    assert error is not None
    assert "shape in the middle" in str(error)


def test_drops_are_told_apart() -> None:
    def state(kind: str, **counted: int) -> QdiscState:
        fields = dict.fromkeys(("parent", "sent_packets", "sent_bytes", "dropped"), 0)
        fields |= dict.fromkeys(("queued_packets", "queued_bytes"), 0)
        return QdiscState(interface="x", kind=kind, **fields | counted)

    lossy = wire("codel ecn").merge({"loss": "1%"})
    seen = direction.counters(
        lossy,
        [
            state("htb", sent_packets=80, sent_bytes=8000),
            state("netem", dropped=17, queued_packets=5, queued_bytes=500),
            state("codel", dropped=10, overlimit=4, marked=3, queued_bytes=200),
        ],
    )
    assert (seen.forwarded_packets, seen.dropped_loss) == (80, 7)
    assert (seen.dropped_limit, seen.dropped_early, seen.marked) == (4, 6, 3)
    assert (seen.queued_packets, seen.queued_bytes, seen.waiting_bytes) == (5, 500, 200)
