"""The reaction to a wrong checksum: RFC 8684, section 3.7, rule by rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.packet.mptcp import Dss, MpFail, MpJoinSyn, MptcpOption, MpTcprst, ResetReason
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST, Segment

from .script import LOCAL_2, REMOTE_2, all_dss, words_checksum

REQUIRED = 0x81


def spoiled(world: Any, position: int, payload: bytes, subflow: int, **more: Any) -> Dss:
    """Return a mapping whose checksum is not that of the payload."""
    dss = world.summed(position, payload, subflow, **more)
    return msgspec.structs.replace(dss, checksum=dss.checksum ^ 0x0100)


def infinite(world: Any, position: int, subflow: int) -> Dss:
    """Return the peer's infinite mapping."""
    return Dss(dsn=world.keys.outgoing.number(position), subflow_seq=subflow, length=0, checksum=0)


def failure(world: Any, position: int = 0) -> MpFail:
    """Return the MP_FAIL for the endpoint's data from a position on."""
    return MpFail(dsn=world.keys.incoming.number(position))


def failures(segments: list[Segment]) -> list[MpFail]:
    return [found for one in segments if (found := find(one.options, MpFail)) is not None]


def mptcp(segments: list[Segment]) -> list[MptcpOption]:
    return [each for one in segments for each in one.options if isinstance(each, MptcpOption)]


# The stack is the receiver of the data.


@pytest.mark.requirement("RFC 8684", "3.7-MUST-NOT-1")
def test_only_subflow_is_asked_to_fall_back(script: Any) -> None:
    """MP_FAIL on an ACK, with the data sequence number where the mapping starts, in 64 bits."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(0, b"good", 1), payload=b"good")
    answers = peer.send(ACK, spoiled(world, 4, b"bad", 5), payload=b"bad")
    assert not any(one.flags & RST for one in answers)
    (fail,) = failures(answers)
    assert fail.dsn == world.keys.outgoing.number(4)
    assert {one.data_ack for one in all_dss(answers)} == {fail.dsn}
    assert world.connection.read(100) == b"good"
    assert not world.connection.fallback


@pytest.mark.parametrize("position", [0, 4, 12])
def test_infinite_mapping_gives_all_from_the_failure_on(script: Any, position: int) -> None:
    """MP_FAIL applies from the last valid data on; Linux's gives the place of its own segment."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(0, b"good", 1), payload=b"good")
    peer.send(ACK, spoiled(world, 4, b"bad.", 5), payload=b"bad.")
    peer.send(ACK, world.summed(8, b"good", 9), payload=b"good")
    answers = peer.send(ACK, infinite(world, position, position + 1), payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"goodbad.goodplain"
    answers += peer.send(ACK, payload=b"more")
    assert world.connection.read(100) == b"more"
    assert not mptcp(answers[1:])


def test_mp_fail_is_answered_by_mp_fail(script: Any) -> None:
    """The answer releases the waiting data, even if the peer has no more to send."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    answers = peer.send(ACK, failure(world))
    assert world.connection.fallback
    assert world.connection.read(100) == b"bad"
    assert not mptcp(answers)
    world.write(b"from here")
    (first,) = peer.take()
    (dss,) = all_dss([first])
    assert (dss.length, dss.checksum, dss.data_ack) == (0, 0, None)
    assert (dss.dsn, dss.subflow_seq) == (world.keys.incoming.number(0), 1)
    world.write(b"and on")
    assert not mptcp(peer.take())


def test_mp_fail_is_sent_again(script: Any) -> None:
    """The ACK with MP_FAIL may be lost; after the last repetition the subflow is reset."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.take()
    world.wait(1)
    assert len(failures(peer.take())) >= 2
    world.wait(300)
    *_, last = peer.take()
    assert last.flags & RST
    assert find(last.options, MpFail) == MpFail(dsn=world.keys.outgoing.number(0))
    assert find(last.options, MpTcprst) == MpTcprst(reason=ResetReason.MIDDLEBOX)


def test_fin_overtakes_the_answer(script: Any) -> None:
    """The ACK with MP_FAIL is old then; but without options no FIN comes of an MPTCP peer."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.send(ACK | FIN)
    assert world.connection.fallback
    assert world.connection.read(100) == b"bad"
    assert world.connection.at_eof


@pytest.mark.requirement("RFC 8684", "3.7-MUST-4")
def test_subflow_among_others_is_reset(script: Any) -> None:
    """With MP_FAIL, and the reason; its data comes on another, unacknowledged until then."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    *_, last = second.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    assert last.flags & RST
    assert mptcp([last]) == [
        MpFail(dsn=world.keys.outgoing.number(0)),
        MpTcprst(reason=ResetReason.MIDDLEBOX),
    ]
    *_, last = first.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"
    assert not world.connection.fallback


def test_only_subflow_after_another_falls_back(script: Any) -> None:
    """The streams go together although their positions differ."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    first.send(ACK, world.summed(0, b"first", 1), payload=b"first")
    world.write(b"to the first")
    sender = first if (sent := first.take()) else second
    assert sent or second.take()
    sender.send(ACK, world.ack(12))
    first.send(RST | ACK)
    answers = second.send(ACK, spoiled(world, 5, b"bad", 1, acked=12), payload=b"bad")
    assert failures(answers) == [MpFail(dsn=world.keys.outgoing.number(5))]
    second.send(ACK, failure(world, 12))
    assert world.connection.read(100) == b"firstbad"
    world.write(b"to the second")
    sent = second.take()
    (dss,) = all_dss(sent)
    assert dss.dsn == world.keys.incoming.number(12)
    assert dss.subflow_seq == second.relative(sent[0])
    second.send(ACK)
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.7-MUST-6", "3.7-MUST-7")
def test_gap_before_the_failure_resets_the_subflow(script: Any) -> None:
    """Data with gaps cannot continue as plain TCP; data after a gap does not count."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(10, b"tail", 4), payload=b"tail", seq=4)
    *_, last = peer.send(ACK, spoiled(world, 7, b"bad", 1), payload=b"bad")
    assert last.flags & RST
    assert world.connection.incoming.out_of_order == 0
    assert not any(dss.data_ack != world.keys.outgoing.number(0) for dss in all_dss([last]))
    assert find(last.options, MpFail) == MpFail(dsn=world.keys.outgoing.number(7))


@pytest.mark.requirement("RFC 8684", "3.7-MUST-6")
def test_octets_dropped_before_the_failure_reset_the_subflow(script: Any) -> None:
    """A mapping that the path has moved leaves an octet out, which plain TCP would not send again.

    So the stream would go on without it.
    """
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    moved = msgspec.structs.replace(world.summed(3, b"def", 4), subflow_seq=5)
    *_, last = peer.send(ACK, moved, payload=b"defg")
    assert last.flags & RST
    assert find(last.options, MpFail) == MpFail(dsn=world.keys.outgoing.number(3))
    assert world.connection.read(100) == b"abc"


def test_end_of_damaged_data_is_that_of_the_subflow(script: Any) -> None:
    """DATA_FIN means nothing any more once octets may have been added."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1, data_fin=True), payload=b"bad")
    peer.send(ACK, infinite(world, 0, 1), payload=b" and longer")
    assert world.connection.read(100) == b"bad and longer"
    assert not world.connection.at_eof
    peer.send(ACK | FIN)
    assert world.connection.at_eof


@pytest.mark.requirement("RFC 8684", "3.7-MUST-6")
def test_no_data_of_ours_on_its_way_elsewhere(script: Any) -> None:
    """A fallback goes both ways: what we have sent must be in one piece, too."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(0))
    world.wait(5)  # the data are sent again, as new octets of the subflow
    peer.take()
    *_, last = peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    assert last.flags & RST
    assert failures([last])


def test_infinite_mapping_without_a_failure(script: Any) -> None:
    """Its sender knows best; what was mapped before is taken as it was mapped."""
    world = script()
    peer = world.open()
    peer.send(ACK, world.data(0, 4, 1), payload=b"data")
    start = Dss(dsn=world.keys.outgoing.number(4), subflow_seq=5, length=0)
    peer.send(ACK, start, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"dataplain"


def test_empty_mapping_of_an_ack_is_no_infinite_one(script: Any) -> None:
    """Section 3.7: an infinite mapping is on the data that it begins with; an ACK maps nothing."""
    world = script()
    peer = world.open()
    world.write(b"data")
    peer.take()
    assert peer.send(ACK, world.data(0, 0, 1, acked=4)) == []
    assert not world.connection.fallback
    peer.send(ACK, world.data(0, 4, 1, acked=4), payload=b"more")
    assert world.connection.read(100) == b"more"
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.7-SHOULD-6")
def test_data_acks_until_the_infinite_mapping(script: Any) -> None:
    """Section 3.7: a peer without further data sends none; it goes on as before, as Linux does."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    answers = peer.send(ACK, failure(world))
    answers += peer.send(ACK, world.summed(3, b"old", 4), payload=b"old")
    assert all_dss(answers)[-1].data_ack == world.keys.outgoing.number(6)
    answers = peer.send(ACK, infinite(world, 0, 1), payload=b"new")
    assert not mptcp(answers)
    assert world.connection.read(100) == b"badoldnew"


def test_data_acks_until_plain_octets(script: Any) -> None:
    """These ACKs also show that the peer has fallen back."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.send(ACK, failure(world))
    assert not mptcp(peer.send(ACK, payload=b"plain"))
    assert world.connection.read(100) == b"badplain"


def test_data_fin_where_both_streams_end(script: Any) -> None:
    """Section 3.3.3: such a peer ends by DATA_FIN; it is believed where no octet is too many."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.send(ACK, failure(world))
    answers = peer.send(ACK, world.summed(3, b"", 0, data_fin=True))
    assert world.connection.at_eof is False
    assert world.connection.read(100) == b"bad"
    assert world.connection.at_eof
    assert all_dss(answers)[-1].data_ack == world.keys.outgoing.number(4)


def test_data_fin_elsewhere_is_not_the_end(script: Any) -> None:
    """The path has added an octet: where the end is says FIN alone."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.send(ACK, payload=b"+")
    peer.send(ACK, failure(world))
    peer.send(ACK, world.summed(3, b"", 0, data_fin=True))
    assert world.connection.read(100) == b"bad+"
    assert not world.connection.at_eof
    peer.send(ACK | FIN)
    assert world.connection.at_eof


def test_fin_begins_plain_tcp_where_there_is_no_data(script: Any) -> None:
    """The segment carries the infinite mapping each time it is sent."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, failure(world))
    world.connection.shutdown()
    world.pump()
    world.wait(2)
    ends = [one for one in peer.take() if one.flags & FIN]
    assert len(ends) > 1
    for end in ends:
        (dss,) = all_dss([end])
        assert (dss.length, dss.dsn) == (0, world.keys.incoming.number(0))


# The stack is the sender of the data.


@pytest.mark.requirement("RFC 8684", "3.7-MUST-5")
def test_sender_answers_and_maps_without_end(script: Any) -> None:
    """From the last data that is known to have arrived; its ACKs are the subflow's from then on."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"good")
    peer.take()
    peer.send(ACK, world.ack(4))
    world.write(b"spoiled")
    peer.take()
    answers = peer.send(ACK, world.ack(4), failure(world, 4), ack=5)
    expected = world.keys.outgoing.number(0)
    assert mptcp(answers) == [Dss(data_ack=expected), MpFail(dsn=expected)]
    assert world.connection.fallback
    world.write(b"more")
    (sent,) = peer.take()
    assert mptcp([sent]) == [
        Dss(dsn=world.keys.incoming.number(4), subflow_seq=5, length=0, checksum=0)
    ]
    assert world.connection.unsent == 11
    peer.send(ACK)
    assert world.connection.unsent == 0


def test_infinite_mapping_goes_with_one_segment(script: Any) -> None:
    """All later segments are plain TCP."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, failure(world))
    world.write(bytes(10_000))
    sent = [one for one in peer.take() if one.payload]
    assert len(sent) > 3
    assert [len(mptcp([one])) for one in sent] == [1] + [0] * (len(sent) - 1)


def test_infinite_mapping_is_retransmitted_with_its_octets(script: Any) -> None:
    """It is lost as any segment is; what was sent before goes without options."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"spoiled")
    peer.take()
    peer.send(ACK, failure(world), ack=1)
    world.write(b"more")
    peer.take()
    world.wait(2)
    again = peer.take()
    assert {one.payload for one in again} == {b"spoiled", b"more"}
    for one in again:
        assert [dss.length for dss in all_dss([one])] == ([0] if one.payload == b"more" else [])


@pytest.mark.requirement("RFC 8684", "3.7-MUST-5")
def test_mp_fail_that_comes_again_is_answered_again(script: Any) -> None:
    """The answer was lost; but two who answer one another come to an end."""
    world = script()
    peer = world.open(flags=REQUIRED)
    answers = [failures(peer.send(ACK, failure(world))) for _ in range(50)]
    assert answers[0]
    assert answers[1]
    assert not answers[-1]


@pytest.mark.requirement("RFC 8684", "3.7-MUST-6")
def test_sender_resets_what_is_not_in_one_piece(script: Any) -> None:
    """The receiver of octets that were sent twice cannot know which copy it has received."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"data")
    peer.take()
    peer.send(ACK, world.ack(0))
    world.wait(5)
    peer.take()
    *_, last = peer.send(ACK, world.ack(0), failure(world))
    assert last.flags & RST
    assert failures([last])
    assert not world.connection.fallback


def test_data_in_one_piece_again_falls_back(script: Any) -> None:
    """Once what was sent twice is acknowledged, the rest is in one piece."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"twice")
    peer.take()
    peer.send(ACK, world.ack(0))
    world.wait(5)
    peer.take()
    peer.send(ACK, world.ack(5))
    world.write(b"once")
    (sent,) = peer.take()
    peer.send(ACK, world.ack(5), failure(world, 5), ack=peer.relative(sent))
    assert world.connection.fallback
    world.write(b"more")
    (dss,) = all_dss(peer.take())
    assert dss.dsn == world.keys.incoming.number(5)
    assert dss.subflow_seq == peer.relative(sent)
    peer.send(ACK)
    assert world.connection.unsent == 0


@pytest.mark.requirement("RFC 8684", "3.7-MUST-4")
def test_reset_with_mp_fail_ends_one_subflow(script: Any) -> None:
    """All its data comes on the other subflow."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    world.write(b"data")
    sender, other = (first, second) if (sent := first.take()) else (second, first)
    sent = sent or second.take()
    assert [one.payload for one in sent] == [b"data"]
    sender.send(RST | ACK, failure(world), MpTcprst(reason=ResetReason.MIDDLEBOX))
    (again,) = other.take()
    assert again.payload == b"data"
    assert not world.connection.fallback
    (dss,) = all_dss([again])
    assert dss.checksum == words_checksum(dss, b"data")


@pytest.mark.requirement("RFC 8684", "3.7-MUST-NOT-2")
def test_no_joins_after_the_fallback(script: Any) -> None:
    """MPTCP does not come back."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, failure(world))
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert answer.flags & RST


def test_no_joins_while_a_fallback_is_asked_for(script: Any) -> None:
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert answer.flags & RST


def test_connection_closes_in_order_after_the_fallback(script: Any) -> None:
    """FIN is DATA_FIN, its ACK the Data ACK."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, spoiled(world, 0, b"bad", 1), payload=b"bad")
    peer.send(ACK, failure(world))
    world.write(b"bye")
    world.connection.shutdown()
    world.pump()
    assert any(one.flags & FIN for one in peer.take())
    peer.send(ACK | FIN)
    assert world.connection.read(100) == b"bad"
    assert world.connection.closed
    assert world.connection.failure is None


# Segments that a peer sends before it knows of the fallback.


@pytest.mark.parametrize("before", [True, False])
def test_data_that_is_not_next_ends_the_fallback(script: Any, before: bool) -> None:
    """The peer has sent what lies between on another subflow: octets would be left out."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(0, b"good", 1), payload=b"good")
    if before:  # and before what lies between has come
        peer.send(ACK, world.summed(8, b"late", 9), payload=b"late", seq=9)
        peer.send(ACK, world.summed(24, b"more", 13), payload=b"more", seq=13)
    answers = peer.send(ACK, world.ack(0), failure(world))
    if not before:
        assert world.connection.fallback
        answers = peer.send(ACK, world.summed(24, b"more", 5), payload=b"more")
    assert any(one.flags & RST for one in answers)
    assert world.connection.read(100) == b"good"
    assert not world.connection.at_eof


def test_data_that_is_next_goes_on_after_the_fallback(script: Any) -> None:
    """Also an old segment that comes again, and one whose mapping counts other octets than came."""
    world = script()
    peer = world.open(flags=REQUIRED)
    first = world.summed(0, b"good", 1)
    peer.send(ACK, first, payload=b"good")
    peer.send(ACK, world.ack(0), failure(world))
    assert world.connection.fallback
    peer.send(ACK, world.summed(4, b"next", 5), payload=b"longer")
    peer.send(ACK, first, payload=b"good", seq=1)
    answers = peer.send(ACK, world.summed(8, b"more", 9), payload=b"more")
    assert not any(one.flags & RST for one in answers)
    assert world.connection.read(100) == b"goodlongermore"


@pytest.mark.requirement("RFC 8684", "3.7-MUST-8")
def test_data_acks_free_nothing_after_the_fallback(script: Any) -> None:
    """Section 3.7: the subflow's ACKs alone count; the path may have changed how much came."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, failure(world))
    world.write(b"octets")
    (sent,) = peer.take()
    start = peer.relative(sent)
    peer.send(ACK, world.ack(6), ack=start)
    assert world.connection.unsent == 6
    peer.send(ACK, ack=start + 3)
    assert world.connection.unsent == 3
    peer.send(ACK)
    assert world.connection.unsent == 0
