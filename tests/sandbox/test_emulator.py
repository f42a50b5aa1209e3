"""The effect of the emulator process on frames between two real interfaces."""

from __future__ import annotations

import struct
import time

import pytest

from testbed.wire.netem import Netem
from tests.emulated import VNET_HEADER, Lab, frames, in_time, ip, lab
from tests.isolation import isolated

pytestmark = pytest.mark.sandbox

ETHERNET = b"\2" * 12 + b"\x08\x00"


@isolated
def test_frames_pass_unchanged_and_in_order_both_ways() -> None:
    with lab() as wire:
        there, back = frames(300, seed=1), frames(300, seed=2)
        for at in range(0, 300, 50):  # as many as any user's socket can hold
            part = slice(at, at + 50)
            for one, other in zip(there[part], back[part], strict=True):
                wire.send("a", one)
                wire.send("b", other)
            assert wire.receive_frames("b", 50) == there[part]
            assert wire.receive_frames("a", 50) == back[part]
        for toward, sent in (("b", there), ("a", back)):
            counters = wire.counters(toward)
            assert counters.forwarded_packets == 300
            assert counters.forwarded_bytes == sum(map(len, sent))


@isolated
def test_delayed_frames_stay_in_order() -> None:
    with lab("delay 100ms") as wire:
        wire.send("a", *frames(50))
        assert wire.receive_frames("b", 50) == frames(50)
        assert wire.counters().queued_packets == 0


@isolated
def test_frames_are_counted_while_they_are_held() -> None:
    with lab("delay 3600s") as wire:
        wire.send("a", *frames(50))
        held = wire.wait_for(lambda counters: counters.queued_packets == 50)
        assert held.queued_bytes == sum(map(len, frames(50)))
        assert held.forwarded_packets == 0


@isolated
def test_each_direction_has_options_of_its_own() -> None:
    with lab(toward_b="loss 100%") as wire:
        wire.send("a", *frames(10))
        wire.send("b", *frames(10))
        assert wire.receive_frames("a", 10) == frames(10)
        assert wire.wait_for(lambda counters: counters.dropped_loss == 10).forwarded_packets == 0
        assert wire.counters("a").dropped_loss == 0


@isolated
def test_options_change_in_place_and_what_is_held_survives() -> None:
    def change(delay: str) -> bool:
        before, during, after = frames(3)
        with lab(delay) as wire:
            wire.send("a", before)
            wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == 1)
            wire.emulator.set("lan", "b", Netem.parse(f"{delay} loss 100%"))
            wire.send("a", during)
            held = wire.wait_for(lambda counters: counters.dropped_loss == 1).queued_packets
            wire.emulator.set("lan", "b", Netem.parse(delay))
            wire.send("a", after)
            assert wire.receive_frames("b", 2) == [before, after]
            (toward_b,) = (d for d in wire.emulator.report().directions if d.toward == "b")
            assert toward_b.netem == Netem.parse(delay)
        return held == 1

    assert in_time(change)


@isolated
def test_duplicates_are_whole_frames() -> None:
    with lab("duplicate 100%") as wire:
        one, other = frames(2)
        wire.send("a", one, other)
        assert wire.receive_frames("b", 4) == [one, one, other, other]
        assert wire.counters().duplicated == 2


@isolated
def test_a_seed_decides_which_frames_are_lost() -> None:
    def survivors() -> list[bytes]:
        with lab("loss 50%") as wire:
            wire.send("a", *frames(100))
            counters = wire.wait_for(lambda c: c.forwarded_packets + c.dropped_loss == 100)
            return wire.receive_frames("b", counters.forwarded_packets)

    first = survivors()
    assert 20 < len(first) < 80
    assert survivors() == first


def unfinished_tcp_frame(payload: int) -> bytes:
    """An IPv4 TCP frame whose checksum the sender leaves to the hardware."""
    ipv4 = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40 + payload, 0, 0, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2"
    )
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 5, 0x1234, 0)
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + ipv4 + tcp + bytes(payload)


@isolated
def test_unfinished_checksums_and_segments_pass_as_they_are() -> None:
    needs_checksum, tcp_segments = 1, 1
    vnet = struct.pack("=BBHHHH", needs_checksum, tcp_segments, 54, 1448, 34, 16)
    frame = unfinished_tcp_frame(40_000)
    with lab() as wire:
        wire.send("a", frame, vnet=vnet)
        seen = wire.receive("b")
        assert seen[VNET_HEADER:] == frame
        assert seen[:VNET_HEADER] == vnet
        assert wire.counters().forwarded_bytes == len(frame)


@isolated
def test_corruption_leaves_a_checksum_that_tells() -> None:
    vnet = struct.pack("=BBHHHH", 1, 0, 0, 0, 34, 16)
    frame = unfinished_tcp_frame(100)
    with lab("corrupt 100%") as wire:
        wire.send("a", frame, vnet=vnet)
        seen = wire.receive("b")
        assert seen[0] & 1 == 0  # nothing is left to the receiver's hardware
        words = struct.unpack(f"!{(len(frame) - 34) // 2}H", frame[34:])
        checksum = sum(words)
        while checksum >> 16:
            checksum = (checksum & 0xFFFF) + (checksum >> 16)
        whole = frame[:50] + struct.pack("!H", ~checksum & 0xFFFF) + frame[52:]
        differing = int.from_bytes(whole) ^ int.from_bytes(seen[VNET_HEADER:])
        assert differing.bit_count() == 1
        assert wire.counters().corrupted == 1


@isolated
def test_a_queue_marks_frames_and_their_checksums_stay_right() -> None:
    """The rate lets the first go; each of the others waits for more than ``ce_threshold``."""
    capable = ETHERNET + bytes.fromhex("45020014000000004006 66e3 0a000001 0a000002")
    with lab("rate 8kbit queue codel ce_threshold 1ns") as wire:
        wire.send("a", *[capable] * 4)
        first, *others = wire.receive_frames("b", 4)
        assert first == capable
        marked = ETHERNET + bytes.fromhex("45030014000000004006 66e2 0a000001 0a000002")
        assert others == [marked] * 3
        counters = wire.counters()
        assert (counters.marked, counters.dropped, counters.waiting_bytes) == (3, 0, 0)


@isolated
def test_frames_of_both_directions_share_a_medium() -> None:
    """A frame takes 50 ms; on a wire of its own for each direction both would take no longer."""
    options = "rate 242240bit"
    it = Lab(start=False)
    try:
        it.add(options, options, half_duplex=True)
        frame = ETHERNET + bytes(1500)
        started = time.monotonic()
        it.send("a", frame)
        it.send("b", frame)
        it.receive("b")
        it.receive("a")
        assert time.monotonic() - started > 0.099
    finally:
        it.close()
        for name in "ab":
            ip("link", "delete", f"host_{name}")


@isolated
def test_a_full_queue_drops_and_says_what_waits() -> None:
    with lab("rate 8bit queue fifo limit 3") as wire:
        wire.send("a", *frames(10))
        counters = wire.wait_for(lambda counters: counters.dropped_limit == 6)
        assert counters.forwarded_packets == 1
        assert counters.waiting_bytes == counters.queued_bytes > 0
        assert counters.queued_packets == 3
