"""Data ACKs where RFC 8684 leaves a choice: when they are sent, how wide, and beside what."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.mptcp import AddAddr, Dss, MpCapable, MptcpOption
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN
from testbed.stack.mptcp.config import LINUX_DATA_ACKS, DataAcks
from testbed.stack.mptcp.path_manager.base import PathEndpoint

from .script import LOCAL_2, all_dss


@pytest.mark.parametrize("first", [True, False])
def test_one_may_confirm_the_handshake(script: Any, first: bool) -> None:
    """Section 3.1: nothing has to be sent before there is data."""
    world = script(data_acks=DataAcks(first=first))
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    out = peer.send(ACK, MpCapable(sender_key=world.keys.local, receiver_key=key))
    assert len(all_dss(out)) == len(out) == first


def test_it_is_as_wide_as_the_peers_last_number(script: Any) -> None:
    """Section 3.3.1: 4 octets until a mapping has a data sequence number of 8."""
    world = script(data_acks=DataAcks(first=False, wide=False))
    peer = world.open()
    world.write(b"to begin with")
    (dss,) = all_dss(peer.take())
    assert (dss.wide_ack, dss.data_ack) == (False, world.keys.outgoing.number(0, wide=False))
    for position, wide in ((0, True), (2, False), (4, True)):
        option = world.data(position, 2, position + 1, acked=13, wide_dsn=wide)
        number = option.dsn if wide else option.dsn & 0xFFFF_FFFF
        option = Dss(
            data_ack=option.data_ack,
            dsn=number,
            wide_dsn=wide,
            subflow_seq=option.subflow_seq,
            length=2,
        )
        (dss,) = all_dss(peer.send(ACK, option, payload=b"ab"))
        assert dss.wide_ack is wide
        assert dss.data_ack == world.keys.outgoing.number(position + 2, wide=wide)


def test_it_is_wide_after_data_in_mp_capable(script: Any) -> None:
    """Section 3.1: that data has no data sequence number, so no width either."""
    world = script(data_acks=LINUX_DATA_ACKS)
    peer = world.open()
    option = MpCapable(
        sender_key=world.keys.local, receiver_key=world.connection.keys.local, data_length=5
    )
    (dss,) = all_dss(peer.send(ACK, option, payload=b"hello"))
    assert dss.wide_ack
    assert dss.data_ack == world.keys.outgoing.number(5)


@pytest.mark.parametrize("beside", [True, False])
def test_address_signals_may_go_alone(script: Any, beside: bool) -> None:
    """Section 3.4.1 does not specify other options of its ACK."""
    announced = PathEndpoint(host=LOCAL_2.host, id=7, signal=True)
    acks = DataAcks(first=False, beside_addresses=beside)
    world = script(data_acks=acks, endpoints=(announced,))
    peer = world.open()
    peer.send(ACK, world.ack())
    world.wait(2)  # the address is announced again
    (option, *others) = [
        one
        for segment in peer.take()
        if find(segment.options, AddAddr)
        for one in sorted(segment.options, key=lambda each: isinstance(each, Dss))
        if isinstance(one, MptcpOption)
    ]
    assert isinstance(option, AddAddr)
    assert bool([one for one in others if isinstance(one, Dss)]) is beside


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("behind", [True, False])
def test_one_may_follow_the_fin_of_the_subflow(script: Any, behind: bool, together: bool) -> None:
    """Section 3.3.3: the connection is over once both DATA_FINs are acknowledged."""
    world = script(data_acks=DataAcks(behind_fin=behind))
    peer = world.open()
    world.connection.close()
    world.pump()
    peer.take()
    if not together:
        peer.send(ACK, world.ack(1))
    out = peer.send(ACK, world.data(0, 1, 0, acked=1, data_fin=True))
    assert [segment.flags for segment in out] == [ACK | FIN, ACK][:: 1 if behind else -1]
    number = world.keys.outgoing.number(1)
    assert [dss.data_ack for dss in all_dss(out)] == [number, number]


@pytest.mark.parametrize("before", [True, False])
def test_data_may_have_one_before_the_data_fin_of_its_segment(script: Any, before: bool) -> None:
    """Section 3.3.3 demands that DATA_FIN is acknowledged once all data has arrived."""
    world = script(data_acks=DataAcks(before_fin=before))
    peer = world.open()
    world.connection.shutdown()
    world.pump()
    peer.take()
    last = world.data(0, 5, 1, acked=1, data_fin=True)
    out = all_dss(peer.send(ACK, last, payload=b"data"))
    assert [(one.data_ack, one.data_fin) for one in out[:2]] == [
        *[(world.keys.outgoing.number(4), True)] * before,
        *[(world.keys.outgoing.number(5), False)] * (2 - before),
    ]
    assert world.connection.closed
    assert world.connection.read(10) == b"data"


def test_data_of_ours_may_carry_the_one_before_the_data_fin(script: Any) -> None:
    world = script(data_acks=DataAcks(before_fin=True))
    peer = world.open()
    world.connection.send(b"data")  # leaves beside the ACK
    out = all_dss(peer.send(ACK, world.data(0, 3, 1, data_fin=True), payload=b"ab"))
    assert out[-1].data_ack == world.keys.outgoing.number(3)
    assert world.connection.at_eof is False
    assert world.connection.read(10) == b"ab"
    assert world.connection.at_eof


@pytest.mark.parametrize(("wait_ns", "due_ms"), [(0, 2000), (100_000_000, 1100)])
def test_the_wait_for_one_may_not_depend_on_round_trips(
    script: Any, wait_ns: int, due_ms: int
) -> None:
    """Section 3.3.6: data without a Data ACK is sent again. DATA_FIN has its own timer."""
    world = script(data_acks=DataAcks(wait_ns=wait_ns))
    peer = world.open()
    world.write(b"data")
    peer.take()
    world.wait(0.05)
    peer.send(ACK, world.ack(0))
    while not any(one.payload for one in peer.take()):
        world.wait(0.001)
    assert world.now // 1_000_000 == due_ms


@pytest.mark.parametrize("acks", [DataAcks(), LINUX_DATA_ACKS])
def test_time_wait_may_have_none(script: Any, acks: DataAcks) -> None:
    """Section 3.3.3: the peer's FIN comes after our Data ACK of its DATA_FIN."""
    world = script(data_acks=acks)
    peer = world.open()
    world.connection.close()
    world.pump()
    peer.take()
    fin = world.data(0, 1, 0, acked=1, data_fin=True)
    peer.send(ACK, fin)
    *_, last = peer.send(ACK | FIN, world.ack(1))
    assert bool(find(last.options, Dss)) is acks.in_time_wait
