"""The emulator process after faults of interfaces, memory or its control connection."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from testbed.errors import InputError, SandboxError
from testbed.wire.netem import Netem, WireCounters
from tests.emulated import NO_VNET, VNET_HEADER, Lab, frames, in_time, ip, lab, link
from tests.isolation import isolated

pytestmark = pytest.mark.sandbox


@isolated
def test_a_link_that_is_down_loses_frames_and_comes_back() -> None:
    with lab() as wire:
        first, second, third = frames(3)
        ip("link", "set", "wire_b", "down")
        wire.send("a", first)
        counters = wire.wait_for(lambda counters: counters.dropped_send == 1)
        assert (counters.forwarded_packets, counters.forwarded_bytes) == (0, 0)
        ip("link", "set", "wire_b", "up")
        assert arrives(wire, "a", "b", second) == second
        assert arrives(wire, "b", "a", third) == third


def arrives(wire: Lab, sender: str, receiver: str, frame: bytes) -> bytes:
    """Send a frame until one arrives: until the kernel's linkwatch has run, all are lost."""
    while not select.select([wire.hosts[receiver]], [], [], 0.01)[0]:
        wire.send(sender, frame)
    return wire.receive(receiver)[VNET_HEADER:]


@isolated
def test_every_frame_that_cannot_be_sent_is_counted() -> None:
    def lose(delay: str) -> bool:
        with lab(delay) as wire:
            wire.send("a", *frames(5))
            wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == 5)
            ip("link", "set", "wire_b", "down")
            if wire.counters().queued_packets < 5:
                return False
            counters = wire.wait_for(lambda counters: counters.queued_packets == 0)
            assert (counters.dropped_send, counters.forwarded_packets) == (5, 0)
        return True

    assert in_time(lose)


@isolated
def test_a_frame_that_is_held_long_does_not_hold_up_others() -> None:
    with lab(toward_b="delay 3600s", toward_a="delay 10ms") as wire:
        wire.send("a", *frames(1))
        wire.wait_for(lambda counters: counters.queued_packets == 1)
        wire.send("b", *frames(3))
        assert wire.receive_frames("a", 3) == frames(3)


@isolated
def test_what_others_send_through_a_middle_end_does_not_cross_the_wire() -> None:
    with lab() as wire, Lab.host("wire_a") as other:
        stray, wanted = frames(2)
        other.send(NO_VNET + stray)
        assert wire.receive_frames("a", 1) == [stray]
        wire.send("a", wanted)
        assert wire.receive_frames("b", 1) == [wanted]


@isolated
def test_a_wire_whose_interface_is_deleted_does_not_stop_the_others() -> None:
    with lab() as wire:
        for name in "xy":
            link(name)
        plain = {"mtu": 1500, "toward_a": Netem(), "toward_b": Netem()}
        wire.emulator.add(link="other", a="wire_x", b="wire_y", **plain)
        ip("link", "delete", "wire_x")
        wire.send("a", *frames(5))
        assert wire.receive_frames("b", 5) == frames(5)
        assert wire.emulator.counters()["other", "b"] == WireCounters()


@isolated
def test_frames_that_come_faster_than_they_are_read_are_counted() -> None:
    with lab() as wire:
        os.kill(wire.process.pid, signal.SIGSTOP)
        (frame,) = frames(1)
        big = frame.ljust(1514, b"\0")
        for _ in range(50_000):
            wire.send("a", big)
        os.kill(wire.process.pid, signal.SIGCONT)
        counters = wire.wait_for(lambda c: c.forwarded_packets + c.dropped_overrun == 50_000)
        assert counters.dropped_overrun > 0


@isolated
def test_memory_stays_as_large_as_the_longest_queue() -> None:
    def push(wire: Lab, total: int) -> WireCounters:
        for frame in frames(2000):
            wire.send("a", frame)
        return wire.wait_for(lambda c: c.queued_packets + c.forwarded_packets == total)

    def resident(wire: Lab) -> int:
        return int(Path(f"/proc/{wire.process.pid}/statm").read_text().split()[1])

    def hold(delay: str) -> bool:
        with lab(f"{delay} limit 5000") as wire:
            used = []
            for number in range(1, 7):
                if push(wire, 2000 * number).forwarded_packets > 2000 * (number - 1):
                    return False  # not all of them were held at once
                wire.wait_for(lambda counters: counters.queued_packets == 0)
                used.append(resident(wire))
            # At first, long frames occupy places of short ones.  Those of three rounds are 4 MiB.
            assert used[5] - used[2] < 256  # pages, 1 MiB
        return True

    assert in_time(hold)


@isolated
def test_refusals_are_explained_and_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("5\n4\n")
    wire = Lab(start=False)
    with pytest.raises(SandboxError, match="wire 'gone': there is no interface 'nowhere'"):
        wire.emulator.add(
            link="gone", a="wire_a", b="nowhere", mtu=1500, toward_a=Netem(), toward_b=Netem()
        )
    with pytest.raises(InputError, match=r"bad:2: times must not decrease"):
        wire.add(f"trace {tmp_path}/bad")
    with pytest.raises(SandboxError, match="wire 'lan': it has no direction 'b'"):
        wire.emulator.set("lan", "b", Netem())
    assert wire.emulator.counters() == {}
    wire.add("delay 1ms")
    with pytest.raises(SandboxError, match="wire 'lan': it already exists"):
        wire.add()
    with pytest.raises(InputError, match="cannot be read"):
        wire.emulator.set("lan", "b", Netem(trace=f"{tmp_path}/none"))
    wire.send("a", *frames(3))
    assert wire.receive_frames("b", 3) == frames(3)
    wire.close()


@isolated
def test_it_ends_with_its_control_connection() -> None:
    wire = Lab()
    assert wire.process.poll() is None
    wire.emulator.close()
    assert wire.process.wait(20) == 0


@isolated
def test_its_death_is_noticed() -> None:
    wire = Lab()
    wire.process.kill()
    wire.process.wait(20)
    with pytest.raises(SandboxError, match="emulator"):
        wire.emulator.counters()


@isolated
def test_it_reports_what_it_costs_and_how_it_is_scheduled() -> None:
    with lab() as wire:
        report = wire.emulator.report()
        assert report.cpu_seconds > 0
        assert report.scheduling in {"fifo", "nice", "normal"}
        assert wire.emulator.report().cpu_seconds >= report.cpu_seconds
