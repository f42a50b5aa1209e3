"""Wires that change by themselves: CSV traces and flapping."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.wire import steps
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem
from testbed.wire.trace import Changes, load
from tests.unit.wire.test_queues import MS, SECOND, SIZE, Names


def written(folder: Path, text: str) -> Path:
    path = folder / "link.csv"
    path.write_text(text)
    return path


class Wire:
    def __init__(self, options: str, wire_seed: int = 1) -> None:
        self.names = Names()
        self.model: LinkModel[str] = LinkModel(
            Netem.parse(options), mtu=1500, seed=1, frames=self.names, wire_seed=wire_seed
        )
        self.left: list[tuple[int, str]] = []

    def send(self, times_ns: Iterable[int]) -> Wire:
        for number, now_ns in enumerate(times_ns):
            self.run_until(now_ns)
            self.model.enqueue(f"a.{number}", SIZE, now_ns)
        return self

    def run_until(self, now_ns: float) -> None:
        while (at_ns := self.model.next_departure_ns()) is not None and at_ns <= now_ns:
            self.left += [(at_ns, handle) for handle in self.model.dequeue(at_ns)]

    def finish(self) -> list[int]:
        self.run_until(math.inf)
        return [at for at, _ in self.left]


def test_values_have_their_unit_in_the_header_or_beside_them(tmp_path: Path) -> None:
    header = "# from a drive\ntime_s,rate_mbit,delay_ms,loss_percent,limit\n"
    text = header + "0,20,15,0.5,100\n1.5,10,20,1,50\n"
    one = load(written(tmp_path, text))
    text = "time,rate,delay,loss,limit\n7s,20mbit,15ms,0.5%,100\n8500ms,10mbit,20ms,1%,50\n"
    two = load(written(tmp_path, text))
    assert isinstance(one, Changes)
    assert isinstance(two, Changes)
    assert one.steps == two.steps
    assert [step.at_ns for step in one.steps] == [0, 1500 * MS]
    assert one.period_ns == 3 * SECOND  # the last row lasts as long as the one before it


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("time_s,rtt_ms\n0,5\n", 1, "there is no column 'rtt_ms'"),
        ("time_s\n0\n", 1, "the header must have"),
        ("rate,delay\n1mbit,5ms\n", 1, "the header must have"),
        ("time_s,delay\n0,5\n", 2, "a time without a unit"),
        ("time,delay\n1,5ms\n", 2, "time: '1' is a time without a unit"),
        ("time_s,delay_ms\n0,5,7\n", 2, "3 values for 2 columns"),
        ("time_s,delay_ms\n1,5\n1,6\n", 3, "times must increase"),
        ("time_s,delay_ms\n", 1, "no rows"),
        ("time_s,loss_percent\n0,200\n", 2, "not between"),
        ("time_s,rate_mbit\n0,\n", 2, "rate: "),
    ],
)
def test_mistakes_have_a_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load(path)
    assert says in str(caught.value)
    assert (caught.value.file, caught.value.line) == (path, line)


def test_delay_and_loss_change_at_their_times_and_begin_again(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,delay_ms,loss_percent\n0,10,0\n1,30,0\n2,10,100\n")
    wire = Wire(f"trace {path}").send([0, SECOND - 1, SECOND, 2 * SECOND, 3 * SECOND])
    assert wire.finish() == [10 * MS, 1009 * MS + 999_999, 1030 * MS, 3010 * MS]
    assert wire.names.dropped == ["a.3"]
    assert wire.model.counters().dropped_loss == 1


def test_a_rate_holds_for_what_already_waits(tmp_path: Path) -> None:
    """12.112 Mbit/s let a frame go every millisecond, a tenth of it every ten."""
    path = written(tmp_path, "time_ms,rate\n0,12112kbit\n5,1211200bit\n25,12112kbit\n")
    left = Wire(f"trace {path}").send([0] * 10).finish()
    assert [at / MS for at in left] == [0, 1, 2, 3, 4, 5, 15, 25, 26, 27]


def test_a_rate_of_nothing_holds_frames_up(tmp_path: Path) -> None:
    path = written(tmp_path, "time_ms,rate_kbit\n0,12112\n1.5,0\n500,12112\n")
    wire = Wire(f"trace {path}").send([0] * 5)
    wire.run_until(100 * MS)
    assert wire.model.counters().waiting_bytes == 3 * SIZE
    # The second frame took the rate up for another half of a millisecond.
    assert [at / MS for at in wire.finish()] == [0, 1, 500.5, 501.5, 502.5]


def test_the_limit_of_a_trace_is_of_what_waits(tmp_path: Path) -> None:
    path = written(tmp_path, "time_ms,rate_kbit,limit\n0,12112,3\n100,12112,6\n")
    wire = Wire(f"trace {path}").send([0] * 10 + [100 * MS] * 10)
    assert len(wire.finish()) == 4 + 7


def test_other_options_may_change_while_a_trace_is_played(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,delay_ms\n0,10\n1,20\n")
    wire = Wire(f"trace {path}").send([0])
    wire.model.change(Netem.parse(f"trace {path} duplicate 100%"), 500 * MS)
    wire.send([SECOND])
    assert wire.finish() == [10 * MS, 1020 * MS, 1020 * MS]
    assert wire.model.in_force == Netem.parse("delay 20ms duplicate 100%")


@pytest.mark.parametrize("text", ["time_s,delay_ms\n0,10\n5,20\n", "5010\n10000\n"])
def test_a_trace_can_begin_anew(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    wire = Wire(f"trace {path}").send([])
    wire.run_until(4 * SECOND)
    wire.model.begin_traces(4 * SECOND)
    wire.send([4 * SECOND, 9 * SECOND])
    assert wire.finish() in ([4010 * MS, 9020 * MS], [9010 * MS, 14 * SECOND])


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ("rate_mbit", "rate 5mbit", "has a column rate, so rate cannot be given"),
        ("delay_ms", "delay 5ms", "has a column delay"),
        ("delay_ms", "queue codel", "queue: needs a rate"),
        ("rate_mbit,limit", "queue codel", "limit: cannot be combined with a queue"),
    ],
)
def test_what_does_not_go_with_a_trace(
    tmp_path: Path, columns: str, options: str, says: str
) -> None:
    values = ",".join("5" for _ in columns.split(","))
    path = written(tmp_path, f"time_s,{columns}\n0,{values}\n")
    with pytest.raises(InputError) as caught:
        steps.checked(Netem.parse(f"trace {path} {options}"))
    assert says in str(caught.value)


def test_opportunities_take_the_place_of_a_rate(tmp_path: Path) -> None:
    path = written(tmp_path, "1\n2\n")
    with pytest.raises(InputError, match="cannot be combined with rate"):
        steps.checked(Netem.parse(f"rate 1mbit trace {path}"))


def test_flapping_loses_what_arrives_while_the_wire_is_away() -> None:
    wire = Wire("flap 3s 1s").send(range(0, 4000 * SECOND, SECOND // 10))
    wire.finish()
    lost = [int(name.split(".")[1]) for name in wire.names.dropped]
    assert 0.2 < len(lost) / 40_000 < 0.3
    spells = 1 + sum(b - a > 1 for a, b in pairwise(lost))
    assert spells == pytest.approx(1000, rel=0.15)


def test_wires_with_the_same_seed_flap_together_and_others_do_not() -> None:
    times = range(0, 100 * SECOND, SECOND // 10)

    def lost(options: str, wire_seed: int) -> list[str]:
        wire = Wire(options, wire_seed).send(times)
        wire.finish()
        return wire.names.dropped

    assert lost("flap 3s 1s seed 4", 1) == lost("flap 3s 1s seed 4", 2)
    assert lost("flap 3s 1s seed 4", 1) != lost("flap 3s 1s seed 5", 1)
    assert lost("flap 3s 1s", 1) == lost("flap 3s 1s", 1)  # the two directions of a wire
    assert lost("flap 3s 1s", 1) != lost("flap 3s 1s", 2)


@pytest.mark.parametrize("text", ["flap 3s", "flap 3s 0ms", "flap 3s 1s 5", "flap 3 1"])
def test_impossible_flapping_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="flap: "):
        Netem.parse(text)


def test_a_trace_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # no process ever writes to it
    for path, says in (
        (tmp_path / "pipe", "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(InputError, match=says):
            load(path)


def test_a_rate_that_may_be_bits_or_octets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'rate_Mbps' can mean bits or octets"):
        load(written(tmp_path, "time_s,rate_Mbps\n0,8\n"))
