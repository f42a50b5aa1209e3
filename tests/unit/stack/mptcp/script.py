"""A peer whose segments tests make by hand, in both roles."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse, split
from testbed.packet.mptcp import (
    HMAC_SHA256,
    AddAddr,
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
)
from testbed.packet.options import MaximumSegmentSize, Option, find
from testbed.packet.segment import ACK, FIN, SYN, Segment
from testbed.stack.connection import Connected, Connection, Event
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.keys import Keys
from testbed.stack.tcp.config import TcpConfig

from .recorder import Recorder

S = 1_000_000_000
LOCAL, REMOTE = Address("10.0.1.1", 80), Address("10.0.1.2", 4000)
LOCAL_2, REMOTE_2 = Address("10.0.2.1", 80), Address("10.0.2.2", 4001)
PEER_KEY = 0x0102030405060708
_ANY = Address("0.0.0.0", 80)


def all_dss(segments: Iterable[Segment]) -> list[Dss]:
    """Return the DSS options of segments."""
    return [option for one in segments if (option := find(one.options, Dss)) is not None]


def words_checksum(dss: Dss, payload: bytes) -> int:
    """Return the checksum of a mapping (RFC 8684, section 3.3.1), one word at a time."""
    octets = struct.pack("!QIHH", dss.dsn, dss.subflow_seq, dss.length, 0) + payload
    octets += bytes(len(octets) % 2)
    added = 0
    for (word,) in struct.iter_unpack("!H", octets):
        added += word
        added = (added & 0xFFFF) + (added >> 16)
    return ~added & 0xFFFF


class Subpeer:
    """One TCP connection of a peer whose segments a test makes by hand.

    Sequence numbers given and shown are relative: 1 is the first octet after SYN.
    """

    def __init__(self, script: Script, local: Address, remote: Address) -> None:
        self.script = script
        self.flow = Flow(local, remote)  # the flow from the endpoint's side
        self.isn = script.random.getrandbits(32)
        self.endpoint_isn = 0
        self.seq = 1  # next to send
        self.ack = 1  # next expected
        self.window = 0xFFFF

    def send(
        self,
        flags: int,
        *options: Option,
        payload: bytes = b"",
        seq: int | None = None,
        ack: int | None = None,
    ) -> list[Segment]:
        """Send a segment, and return what comes back on this connection."""
        seq = self.seq if seq is None else seq
        self.script.inject(
            Segment(
                source=self.flow.remote,
                destination=self.flow.local,
                seq=(self.isn + seq) & 0xFFFFFFFF,
                ack=(self.endpoint_isn + (self.ack if ack is None else ack)) & 0xFFFFFFFF
                if flags & ACK
                else 0,
                flags=flags,
                window=self.window,
                options=options,
                payload=payload,
            )
        )
        if seq == self.seq:
            self.seq += len(payload) + bool(flags & FIN)
        return self.take()

    def take(self) -> list[Segment]:
        """Return what has come on this connection since the last call; acknowledge it."""
        here, rest = [], []
        for segment in self.script.out:
            mine = segment.source == self.flow.local and segment.destination == self.flow.remote
            (here if mine else rest).append(segment)
        self.script.out = rest
        for segment in here:
            if segment.flags & SYN:
                self.endpoint_isn = segment.seq
            end = self.relative(segment) + segment.length
            self.ack = max(self.ack, end)
        return here

    def relative(self, segment: Segment) -> int:
        """Return the relative sequence number of a segment that came."""
        return (segment.seq - self.endpoint_isn) & 0xFFFFFFFF

    def syn(self, *options: Option) -> list[Segment]:
        """Send a SYN."""
        self.seq = 0
        out = self.send(SYN, MaximumSegmentSize(1460), *options)
        self.seq = 1
        return out

    def syn_ack(self, *options: Option) -> list[Segment]:
        """Answer the endpoint's SYN, and return what comes back."""
        self.take()
        self.seq = 0
        out = self.send(SYN | ACK, MaximumSegmentSize(1460), *options)
        self.seq = 1
        return out


class Script:
    """An endpoint that listens on :data:`LOCAL` or connects from there, and a peer made by hand."""

    def __init__(self, tcp: dict[str, Any] | None = None, **options: Any) -> None:
        self.now = S
        self.random = random.Random(3)
        self.out: list[Segment] = []
        self.hosts: Sequence[str] = (LOCAL.host, LOCAL_2.host)
        self.tracer = Recorder()
        bare = {"timestamps": False, "window_scaling": False, "delayed_ack_ns": 0}
        self.endpoint = MptcpEndpoint(
            MptcpConfig(tcp=TcpConfig(**{**bare, **(tcp or {})}), **options),
            random.Random(4),
            b"sixteen octets..",
            self,
            tracer=self.tracer,
        )
        self.endpoint.listen(_ANY)
        self.connections: list[Connection] = []
        self.events: list[Event] = []
        self.keys = Keys(PEER_KEY)  # the keys from the peer's side

    def source_for(self, remote_host: str) -> str | None:
        """Return the address on the same path."""
        return LOCAL.host if remote_host == REMOTE.host else LOCAL_2.host

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return a fixed port."""
        assert local_host in self.hosts
        return remote.port + 1000

    def release_port(self, local: Address) -> None:
        """Forget it."""
        assert local.port

    @property
    def connection(self) -> MptcpConnection:
        """The only connection there is."""
        (only,) = self.connections
        assert isinstance(only, MptcpConnection)
        return only

    def inject(self, segment: Segment) -> None:
        """Let a segment arrive."""
        self.endpoint.receive(parse(emit(segment)), self.now)
        self.pump()

    def pump(self) -> None:
        """Take events and segments until there are no more."""
        busy = True
        while busy:
            busy = False
            for segment in self.endpoint.segments_to_send(self.now):
                busy = True
                self.out += split(segment)
            while (found := self.endpoint.next_event()) is not None:
                busy = True
                self.events.append(found[1])
                if isinstance(found[1], Connected) and found[0] not in self.connections:
                    self.connections.append(found[0])

    def write(self, data: bytes) -> None:
        """Let the endpoint's application write."""
        self.connection.send(data)
        self.pump()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + int(seconds * S)
        while (due := self.endpoint.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.endpoint.handle_timer(self.now)
            self.pump()
        self.now = end

    def subpeer(self, local: Address = LOCAL, remote: Address = REMOTE) -> Subpeer:
        """Return a connection of the peer, not yet opened."""
        return Subpeer(self, local, remote)

    def open(self, *, window: int = 0xFFFF, **flags: Any) -> Subpeer:
        """Open a connection with MP_CAPABLE, as its initiator, up to the third ACK."""
        peer = self.subpeer()
        peer.window = window
        (answer,) = peer.syn(MpCapable(**flags))
        option = find(answer.options, MpCapable)
        assert option.sender_key is not None
        self.keys.learn(option.sender_key)
        third = MpCapable(flags=option.flags, sender_key=PEER_KEY, receiver_key=option.sender_key)
        peer.send(ACK, third)
        return peer

    def join(self, peer: Subpeer, *, address_id: int = 2, nonce: int = 77) -> list[Segment]:
        """Join the connection with an open subflow more; return the answer to the third ACK."""
        syn = MpJoinSyn(address_id=address_id, token=self.keys.remote_token, nonce=nonce)
        (answer,) = peer.syn(syn)
        return self.join_ack(peer, answer, nonce=nonce)

    def join_ack(self, peer: Subpeer, answer: Segment, *, nonce: int) -> list[Segment]:
        """Send the third ACK of a join, and return the answer."""
        option = find(answer.options, MpJoinSynAck)
        local, remote = self.keys.pair()
        theirs = crypto.join_hmac(remote, local, option.nonce, nonce)
        assert option.hmac == theirs[:8]
        ours = crypto.join_hmac(local, remote, nonce, option.nonce)
        return peer.send(ACK, MpJoinAck(hmac=ours[:20]))

    def joined(self) -> Subpeer:
        """Join the connection with a subflow on the second path."""
        peer = self.subpeer(LOCAL_2, REMOTE_2)
        self.join(peer)
        return peer

    def dial(self, data: bytes = b"", port: int = 4000) -> Subpeer:
        """Let the endpoint connect; its SYN is waiting to be answered."""
        flow = Flow(Address(LOCAL.host, port), Address(REMOTE.host, 80))
        self.connections.append(self.endpoint.connect(flow, self.now, data=data))
        self.pump()
        return self.subpeer(flow.local, flow.remote)

    def accept(self, *, flags: int = HMAC_SHA256) -> tuple[Subpeer, list[Segment]]:
        """Let the endpoint connect, answer its SYN, and return its answer to that.

        Nothing comes from the peer after its SYN/ACK.
        """
        peer = self.dial()
        out = peer.syn_ack(MpCapable(flags=flags, sender_key=PEER_KEY))
        third = find(out[0].options, MpCapable)
        assert third.receiver_key == PEER_KEY
        self.keys.learn(third.sender_key)
        return peer, out

    def joining(self) -> tuple[Subpeer, MpJoinSyn]:
        """Return the connection of the endpoint's one SYN with MP_JOIN, and that option."""
        (syn,) = [one for one in self.out if find(one.options, MpJoinSyn)]
        return self.subpeer(syn.source, syn.destination), find(syn.options, MpJoinSyn)

    def join_answer(self, syn: MpJoinSyn, *, nonce: int = 99, **changes: Any) -> MpJoinSynAck:
        """Return the peer's answer to MP_JOIN."""
        local, remote = self.keys.pair()
        hmac = crypto.join_hmac(local, remote, nonce, syn.nonce)[:8]
        return MpJoinSynAck(**{"address_id": 5, "hmac": hmac, "nonce": nonce, **changes})

    def data(self, position: int, length: int, subflow: int, **more: Any) -> Dss:
        """Return the DSS for data at a position of the peer's stream."""
        return Dss(
            data_ack=self.keys.incoming.number(more.pop("acked", 0)),
            dsn=self.keys.outgoing.number(position),
            subflow_seq=subflow,
            length=length,
            **more,
        )

    def summed(self, position: int, payload: bytes, subflow: int, **more: Any) -> Dss:
        """Return the DSS for a payload with its checksum, as RFC 1071 adds it up."""
        dss = self.data(position, len(payload) + more.get("data_fin", False), subflow, **more)
        return msgspec.structs.replace(dss, checksum=words_checksum(dss, payload))

    def ack(self, acked: int = 0) -> Dss:
        """Return the DSS that acknowledges data up to a position of the endpoint's stream."""
        return Dss(data_ack=self.keys.incoming.number(acked))

    def announcement(self, number: int, host: str, port: int | None = None) -> AddAddr:
        """Return an ADD_ADDR of the peer."""
        local, remote = self.keys.pair()
        hmac = crypto.add_addr_hmac(local, remote, number, host, port)
        return AddAddr(address_id=number, address=host, port=port, hmac=hmac)
