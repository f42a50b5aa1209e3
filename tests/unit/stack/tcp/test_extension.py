"""The hooks by which another protocol rides on a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    find,
)
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.connection import Closed, Connected, ErrorKind
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.extension import Extension, Notice, Refuse
from testbed.stack.tcp.no_extension import NoExtension
from testbed.stack.tcp.state import State

from .script import FLOW, MS, SECOND, Script, bare

SIGNAL = UnknownOption(253, b"signal")


class Recorder(NoExtension):
    """Records segments, and answers as configured."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, Any, int]] = []
        self.heard: list[tuple[str, int]] = []
        self.states: list[State] = []
        self.acks: list[int] = []
        self.timeouts = 0
        self.answer: dict[int, Sequence[Option]] = {}  # answers by flags
        self.notice = Notice.PLAIN
        self.own_window: int | None = None
        self.counts = True

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        self.calls.append((flags, ext, room))
        return self.answer.get(flags, ())

    def received(self, segment: Segment, start: int) -> Notice:
        self.heard.append((bytes(segment.payload).decode(), start))
        return self.notice

    def window(self) -> int | None:
        return self.own_window

    def window_counts(self, window: int) -> bool:
        return self.counts

    def state_changed(self, old: State, new: State) -> None:
        self.states.append(new)

    def timed_out(self) -> None:
        self.timeouts += 1

    def acked(self, position: int) -> None:
        self.acks.append(position)


class OneAcceptor:
    def __init__(self, extension: Extension | None, refuse: Refuse | None = None) -> None:
        self.extension = extension
        self.refuse = refuse
        self.seen: list[Segment] = []

    def accept(self, syn: Segment) -> Extension | None:
        self.seen.append(syn)
        if self.refuse is not None:
            raise self.refuse
        return self.extension

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        self.seen.append(syn)
        return None if self.refuse is not None else (SIGNAL,)

    def resume(self, ack: Segment) -> Extension | None:
        return self.accept(ack)


def ride(config: TcpConfig | None = None) -> tuple[Script, Recorder, TcpConnection]:
    """Return an established connection and what rides on it."""
    script, recorder = Script(config), Recorder()
    connection = script.endpoint.connect(FLOW, script.now, recorder)
    script.out()
    script.now += 50 * MS
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(1460), SackPermitted()))
    recorder.calls.clear()
    recorder.heard.clear()
    return script, recorder, connection


def test_it_hears_of_every_state() -> None:
    script, recorder, connection = ride()
    connection.shutdown()
    script.out()
    script.inject(".", 1, 2)
    script.inject("F.", 1, 2)
    script.wait(60 * SECOND)
    assert recorder.states == [
        State.SYN_SENT,
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
        State.TIME_WAIT,
        State.CLOSED,
    ]


def test_its_options_are_on_syns_too_and_it_knows_the_room() -> None:
    script, recorder = Script(TcpConfig()), Recorder()
    recorder.answer[SYN] = (SIGNAL,)
    script.endpoint.connect(FLOW, script.now, recorder)
    script.out()
    assert recorder.calls == [(SYN, None, 40 - 4 - 4 - 12 - 4)]
    assert script.last[0].options[-1] == SIGNAL
    script.wait(SECOND)
    assert len(recorder.calls) == 2  # retransmissions too


def test_its_options_make_segments_smaller() -> None:
    script, recorder, connection = ride()
    recorder.answer[ACK] = (SIGNAL,)
    connection.send(b"x" * 1460)
    assert script.out() == [". 1:1453 1", "P. 1453:1461 1"]
    assert [call[0] for call in recorder.calls] == [ACK, ACK]


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-6")
def test_no_segment_spans_two_exts() -> None:
    script, recorder, connection = ride(bare(nagle=False))
    one, two = object(), object()
    connection.send(b"a" * 100, one)
    connection.send(b"b" * 100, one)
    connection.send(b"c" * 100, two)
    connection.send(b"d" * 100)
    connection.send(b"e" * 100)
    assert script.out() == [". 1:201 1", ". 201:301 1", "P. 301:501 1"]
    assert [ext for _, ext, _ in recorder.calls] == [one, two, None]
    assert connection.queued == 0


@pytest.mark.requirement("RFC 8684", "3.3.1-MUST-NOT-1")
def test_ext_comes_again_with_a_retransmission_even_when_it_is_cut() -> None:
    script, recorder, connection = ride()
    ext = object()
    connection.send(b"a" * 1460, ext)
    script.out()
    recorder.calls.clear()
    recorder.answer[ACK] = (SIGNAL,)
    assert script.wait(300 * MS) == [". 1:1453 1", "P. 1453:1461 1"]
    assert [call[1] for call in recorder.calls] == [ext, ext]
    assert recorder.timeouts == 1


def test_sack_takes_what_is_left() -> None:
    script, recorder, _ = ride(TcpConfig(window_scaling=False, timestamps=False))
    recorder.answer[ACK] = (UnknownOption(253, bytes(18)),)  # 20 octets
    for number in range(4):
        script.inject(".", 11 + 20 * number, 1, b"x" * 10)
    assert len(find(script.last[0].options, Sack).blocks) == 2
    recorder.answer[ACK] = (UnknownOption(253, bytes(34)),)  # 36
    script.inject(".", 111, 1, b"x" * 10)
    assert find(script.last[0].options, Sack) is None


def test_it_hears_segments_with_their_place_in_the_stream() -> None:
    script, recorder, _ = ride()
    script.inject(".", 1, 1, b"abc")
    script.inject(".", 7, 1, b"ghi")
    script.inject(".", 4, 1)
    assert recorder.heard == [("abc", 0), ("ghi", 6), ("", 3)]


@pytest.mark.requirement("RFC 8684", "3-MUST-1", "3.4.1-MUST-1")
def test_it_hears_nothing_that_tcp_refuses() -> None:
    script, recorder, _ = ride()
    script.inject(".", 1, 5000, b"ack of nothing")
    script.inject("R", 3)
    script.inject(".", -100_000, 1)
    assert recorder.heard == []
    script.inject("R", 1)
    assert recorder.heard == [("", 0)]


def test_what_it_refuses_goes_no_further() -> None:
    script, recorder, connection = ride()
    connection.send(b"x")
    script.out()
    recorder.notice = Notice.REFUSED
    assert script.inject("P.", 1, 2, b"abc") == []
    assert connection.readable == 0
    assert not connection.idle


@pytest.mark.requirement("RFC 8684", "3-MUST-NOT-1", "3.4.1-MUST-NOT-1", "4-MUST-NOT-1")
def test_a_signal_is_no_duplicate_ack() -> None:
    """RFC 8684, section 3.3.3 gives the reason."""
    for notice, recovering in ((Notice.SIGNAL, False), (Notice.PLAIN, True)):
        script, recorder, connection = ride(bare())
        connection.send(b"x" * 14600)
        script.out()
        recorder.notice = notice
        for _ in range(4):
            script.inject(".", 1, 1)
        assert connection.recovering is recovering


def test_a_pure_ack_can_be_had() -> None:
    script, recorder, connection = ride()
    connection.request_ack()
    assert script.out() == [". 1:1 1"]
    connection.request_ack()
    connection.send(b"data")
    assert script.out() == [". 1:1 1", "P. 1:5 1"]
    assert [ext for _, ext, _ in recorder.calls] == [None] * 3


def test_its_window_is_advertised_and_what_was_offered_stays() -> None:
    script, recorder, connection = ride(bare(receive_buffer=2000))
    recorder.own_window = 30_000
    script.inject(".", 1, 1, b"x")
    assert script.last[0].window == 30_000
    recorder.own_window = 10
    script.inject(".", 2, 1, b"x" * 1460)
    assert script.last[0].window == 10
    for number in range(10):
        script.inject(".", 1462 + 1460 * number, 1, b"x" * 1460)
    assert connection.readable == 1461 + 14600
    connection.read(1 << 20)
    assert script.out() == []  # the extension reports it


def test_a_window_that_does_not_count() -> None:
    script, recorder, connection = ride()
    before = connection.send_window
    recorder.counts = False
    script.inject("P.", 1, 1, b"x", win=1)
    assert connection.send_window == before


def test_it_hears_what_is_acknowledged() -> None:
    script, recorder, connection = ride()
    connection.send(b"x" * 100)
    connection.shutdown()
    script.out()
    script.inject(".", 1, 51)
    script.inject(".", 1, 51)
    script.inject(".", 1, 102)  # with FIN
    assert recorder.acks == [50, 100]


def test_an_acceptor_decides() -> None:
    script, recorder = Script(), Recorder()
    acceptor = OneAcceptor(recorder)
    script.endpoint.listen(FLOW.local, acceptor)
    script.inject("S", 0)
    assert len(acceptor.seen) == 1
    assert script.connection.extension is recorder
    assert recorder.states == [State.SYN_RECEIVED]
    script.inject(".", 1, 1)
    assert recorder.heard == [("", 0)]
    assert script.events == [Connected()]


def test_an_acceptor_refuses() -> None:
    script = Script()
    script.endpoint.listen(FLOW.local, OneAcceptor(None, Refuse("no", (SIGNAL,))))
    script.base = 0
    assert script.inject("S", 0) == ["R. 0:0 1"]
    assert script.last[0].options == (SIGNAL,)
    assert script.endpoint.connection(FLOW) is None


def test_options_on_a_reset() -> None:
    script, recorder, connection = ride()
    recorder.answer[RST | ACK] = (SIGNAL,)
    connection.abort()
    assert script.out() == ["R. 1:1 1"]
    assert script.last[0].options == (SIGNAL,)


def test_the_third_ack_can_be_refused() -> None:
    """The owner then aborts the connection, which it finds by its flow."""
    script, recorder = Script(), Recorder()
    script.endpoint.listen(FLOW.local, OneAcceptor(recorder))
    script.inject("S", 0)
    recorder.notice = Notice.REFUSED
    assert script.inject(".", 1, 1) == []
    assert script.connection.state is State.SYN_RECEIVED
    script.connection.abort()
    assert script.out() == ["R. 1:1 1"]
    assert script.events == []


def test_a_syn_ack_can_be_refused() -> None:
    script, recorder = Script(), Recorder()
    connection = script.endpoint.connect(FLOW, script.now, recorder)
    script.out()
    recorder.notice = Notice.REFUSED
    assert script.inject("S.", 0, 1) == []
    assert connection.state is State.SYN_SENT
    connection.abort()
    script.out()
    (closed,) = script.events
    assert isinstance(closed, Closed)
    assert closed.failure is not None
    assert closed.failure.kind is ErrorKind.ABORTED


@pytest.mark.parametrize("gso", [False, True])
def test_large_segments_keep_to_one_ext(gso: bool) -> None:
    script, recorder, connection = ride(bare(gso=gso))
    exts = [object() for _ in range(3)]
    for ext in exts:
        connection.send(b"x" * 3000, ext)
    script.out()
    seen = [(len(segment.payload), segment.gso_size) for segment in script.last]
    assert [ext for _, ext, _ in recorder.calls] == sorted(
        (ext for _, ext, _ in recorder.calls), key=exts.index
    )
    if gso:
        assert seen == [(2920, 1460), (80, 0)] * 3
    else:
        assert seen == [(1460, 0), (1460, 0), (80, 0)] * 3


def test_timestamps_come_first() -> None:
    script, recorder = Script(TcpConfig(sack=False, window_scaling=False)), Recorder()
    script.endpoint.listen(FLOW.local, OneAcceptor(recorder))
    script.inject("S", 0, options=(Timestamps(1, 0),))
    script.inject(".", 1, 1, options=(Timestamps(2, 0),))
    recorder.answer[ACK] = (SIGNAL,)
    script.connection.request_ack()
    script.out()
    assert [type(option) for option in script.last[0].options] == [Timestamps, UnknownOption]
    assert recorder.calls[-1] == (ACK, None, 28)


def test_a_probe_of_a_large_segment_keeps_to_its_pieces() -> None:
    """RFC 8985, section 7.3: the last segment is one as long as its options let it be."""
    script, recorder, connection = ride(TcpConfig(window_scaling=False, timestamps=False, gso=True))
    recorder.answer[ACK] = (UnknownOption(253, bytes(26)),)  # 28 octets, as a DSS has
    connection.send(b"x" * 1432 * 5)
    assert script.out() == [f"P. 1:{1 + 5 * 1432} 1"]
    assert script.last[0].gso_size == 1432
    assert script.wait(110 * MS) == [f"P. {1 + 4 * 1432}:{1 + 5 * 1432} 1"]


def test_a_segment_is_believed_for_its_echo_also_when_its_own_timestamp_is_known() -> None:
    """Timestamps tick in milliseconds: several segments have the same."""
    script, recorder = Script(TcpConfig(sack=False, window_scaling=False)), Recorder()
    connection = script.endpoint.connect(FLOW, script.now, recorder)
    script.out()
    stamp = find(script.last[0].options, Timestamps).value
    script.inject("S.", 0, 1, options=(MaximumSegmentSize(1460), Timestamps(500, stamp)))
    for seq in (100, 200):
        script.inject(".", seq, 1, b"x", options=(Timestamps(500, stamp),))
        assert connection.expects(seq - 1)
    script.inject(".", 300, 1, b"x", options=(Timestamps(500, stamp + 7_000_000 & 0xFFFF_FFFF),))
    assert not connection.expects(299)


def test_it_hears_of_silence_before_the_retransmission_timer() -> None:
    """An RTT of 50 ms: the probe after 100 ms, no answer after 100 ms more, the RTO at 350 ms."""
    script, recorder, connection = ride(TcpConfig(window_scaling=False, timestamps=False))
    connection.send(b"x" * 2 * 1460)
    script.out()
    script.wait(199 * MS)
    assert recorder.timeouts == 0
    script.wait(2 * MS)
    assert recorder.timeouts == 1


def test_a_probe_that_is_answered_is_no_silence() -> None:
    script, recorder, connection = ride(TcpConfig(window_scaling=False, timestamps=False))
    connection.send(b"x" * 2 * 1460)
    script.out()
    script.wait(150 * MS)
    script.inject(".", 1, 1 + 2 * 1460)
    script.wait(SECOND)
    assert recorder.timeouts == 0
