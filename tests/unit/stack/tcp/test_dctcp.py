"""RFC 8257: each mark is echoed by itself, and the window shrinks by how many there are."""

from __future__ import annotations

import pytest

from testbed.packet.segment import CE, ECT_0, NOT_ECT
from testbed.stack.tcp.congestion.control import Group, Loss, Sample
from testbed.stack.tcp.congestion.dctcp import Dctcp

from .script import MS, SECOND, Script, bare

MSS = 1000


def opened() -> Script:
    """Return an endpoint with a connection that is past its quick ACKs."""
    script = Script(bare(congestion="dctcp"))
    script.open()
    assert script.out() == ["SEW 0:0"]
    script.inject("S.E", 0, 1)
    for number in range(32):
        script.inject(".", 1 + number, 1, b"q", ecn=ECT_0)
    script.wait(SECOND)
    return script


def test_it_asks_for_ecn_and_all_its_segments_are_capable() -> None:
    """Section 3.6."""
    script = Script(bare(congestion="dctcp"))
    connection = script.open()
    script.out()
    assert script.last[0].ecn == ECT_0
    script.inject("S.E", 0, 1)
    assert script.last[0].ecn == ECT_0
    connection.send(b"x")
    script.out()
    script.wait(SECOND)
    assert script.last[0].ecn == ECT_0


def test_without_an_answer_it_does_without() -> None:
    script = Script(bare(congestion="dctcp"))
    script.open()
    script.out()
    assert script.inject("S.", 0, 1, ecn=NOT_ECT) == [". 1:1 1"]
    assert script.last[0].ecn == NOT_ECT


def test_an_ack_tells_of_the_segments_it_acknowledges() -> None:
    """Section 3.2: an ACK is immediate where marks begin and end, otherwise delayed as usual."""
    script = opened()
    assert script.inject(".", 33, 1, b"a", ecn=ECT_0) == []
    assert script.inject(".", 34, 1, b"b", ecn=CE) == [". 1:1 34", ".E 1:1 35"]
    assert script.inject(".", 35, 1, b"c", ecn=CE) == []
    assert script.wait(50 * MS) == [".E 1:1 36"]
    assert script.inject(".W", 36, 1, b"d", ecn=CE) == []
    assert script.inject(".", 37, 1, b"e", ecn=ECT_0) == [".E 1:1 37", ". 1:1 38"]
    assert script.inject(".", 38, 1, b"f", ecn=ECT_0) == []
    assert script.wait(50 * MS) == [". 1:1 39"]


def test_marks_that_come_and_go_in_one_round_of_the_driver() -> None:
    script = opened()
    for number, ecn in enumerate([ECT_0, CE, ECT_0, ECT_0, CE]):
        script.inject(".", 33 + number, 1, b"x", ecn=ecn, take=False)
    assert script.out() == [". 1:1 34", ".E 1:1 35", ". 1:1 37", ".E 1:1 38"]


def acked(control: Dctcp, rounds: int, *, marked: int = 0, losses: int = 0, now: int = 0) -> None:
    """Have ten segments be acknowledged, of which some were marked."""
    for number in range(10):
        control.on_ack(
            Sample(
                now=now,
                delivered=MSS,
                lost=0,
                growable=False,
                flight=10 * MSS,
                in_flight=10 * MSS,
                rtt=MS,
                smoothed=MS,
                minimum=MS,
                rate=0,
                round=rounds + (number == 9),
                app_limited=False,
                losses=(Loss(0, MSS, 10 * MSS, MSS, app_limited=False),) * losses,
                recovering=losses > 0,
                marked=MSS if number >= 10 - marked else 0,
            )
        )


def begun() -> Dctcp:
    control = Dctcp(Group())
    control.start(MSS, 100)
    return control


def test_the_estimate() -> None:
    """Section 3.3: alpha begins with 1; each round trip it goes a sixteenth of the way."""
    control = begun()
    alpha = 1.0
    for number, marked in enumerate([0, 0, 5, 10, 0]):
        acked(control, number, marked=marked)
        alpha += (marked / 10 - alpha) / 16
        assert control.alpha == pytest.approx(alpha)


def test_marks_take_half_of_their_part_of_the_window() -> None:
    """Section 3.3, step 9."""
    control = begun()
    for number in range(100):
        acked(control, number, marked=2)
    control.on_loss(control.window, 0)
    assert control.window == pytest.approx(90 * MSS, abs=MSS)
    assert control.threshold == control.window


def test_losses_take_a_half() -> None:
    """Section 3.5."""
    control = begun()
    for number in range(100):
        acked(control, number)
    control.on_loss(control.window, 0)
    assert control.window == 50 * MSS


def test_a_loss_told_of_by_an_ack_with_a_mark_takes_a_half() -> None:
    control = begun()
    for number in range(100):
        acked(control, number, marked=1)
    control.on_loss(control.window, 0)
    assert control.window > 90 * MSS
    acked(control, 100, losses=1)
    assert control.window == 50 * MSS
    control.on_undo()
    assert control.window == 100 * MSS
