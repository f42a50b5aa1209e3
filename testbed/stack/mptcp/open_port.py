"""The treatment of SYNs to an open port, also by SYN cookies.

RFC 8684, section 3.1; RFC 4987, section 3.6 for SYN cookies, which keep no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from testbed.packet.address import Flow
from testbed.packet.mptcp import VERSION, MpCapable, MpJoinSyn, MptcpOption
from testbed.packet.options import FastOpen, Option, find
from testbed.packet.segment import ACK, FIN, SYN, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.mptcp.capable import CapableResponder, usable
from testbed.stack.mptcp.half_open import HalfOpen
from testbed.stack.mptcp.joins import REFUSED, Joins
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.tokens import Tokens
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.extension import Extension, Refuse


class Host(Protocol):
    """The services of the endpoint that an open port needs."""

    def begin(self, keys: Keys, flow: Flow, options: SocketOptions) -> HalfOpen:
        """Create a connection for an MP_CAPABLE."""

    def expect(self, subflow: Subflow, flow: Flow) -> None:
        """Attach a subflow to its TCP connection as soon as that exists."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""


class OpenPort:
    """Accepts or refuses SYNs to a port (:class:`testbed.stack.tcp.extension.Acceptor`).

    :param options: the options of new connections.
    :param deny_join: set the C flag, which forbids joins to this address.
    """

    __slots__ = ("_deny_join", "_host", "_joins", "_options", "_tokens")

    def __init__(
        self,
        host: Host,
        tokens: Tokens,
        joins: Joins,
        options: SocketOptions,
        *,
        deny_join: bool,
    ) -> None:
        self._host = host
        self._tokens = tokens
        self._joins = joins
        self._options = options
        self._deny_join = deny_join

    def accept(self, syn: Segment) -> Extension | None:
        """Return the extension for the connection of a SYN: MPTCP, a join, or none.

        RFC 8684 does not define a SYN with MP_CAPABLE and MP_JOIN. As in Linux, it opens plain TCP.

        :raises Refuse: the SYN is a join with an unknown token, or the limit of subflows is
            reached.
        """
        flow = Flow(syn.destination, syn.source)
        join: MpJoinSyn | None = find(syn.options, MpJoinSyn)
        capable = asks(syn)
        if capable is None and join is not None:
            return self._joins.admit(join, flow, listening=True)
        if capable is None:
            return None
        self._host.count("MPCapableSYNRX")
        if join is not None:
            return None
        return self._begin(self._tokens.new_keys(), capable, flow)

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        """Return the options of a SYN/ACK that leaves no state (RFC 4987, section 3.6).

        The third ACK returns our key. If another connection has the token of the key, plain TCP is
        used (section 3.1). A join is not answered: its peer has other paths.
        """
        joins, capable = find(syn.options, MpJoinSyn) is not None, asks(syn)
        if joins and capable is None:
            return None
        if joins or capable is None:
            return ()
        keys = self._tokens.stateless_keys(syn, syn.seq)
        if self._tokens.taken(keys.token):
            return ()
        return self._responder(keys, capable).options(SYN | ACK, None) or ()

    def resume(self, ack: Segment) -> Extension | None:
        """Create the connection of a third ACK that answers the options of :meth:`offer`.

        A key that is not ours means plain TCP (section 3.1).

        :raises Refuse: another connection has our token by now, or the ACK has no key although its
            sender uses MPTCP.
        """
        capable: MpCapable | None = find(ack.options, MpCapable)
        if capable is None or capable.receiver_key is None:
            if find(ack.options, MptcpOption) is None:
                return None
            raise Refuse("the connection is unknown", REFUSED)
        keys = self._tokens.stateless_keys(ack, (ack.seq - 1) & BITS_32)
        if keys.local != capable.receiver_key:
            return None
        if self._tokens.taken(keys.token):
            raise Refuse("another connection has this token", REFUSED)
        return self._begin(keys, capable, Flow(ack.destination, ack.source))

    def _responder(self, keys: Keys, capable: MpCapable) -> CapableResponder:
        return CapableResponder(keys, deny_join=self._deny_join, syn=capable)

    def _begin(self, keys: Keys, capable: MpCapable, flow: Flow) -> Extension:
        """Create the connection for an MP_CAPABLE."""
        half_open = self._host.begin(keys, flow, self._options)
        subflow = half_open.subflow(self._responder(keys, capable))
        self._tokens.add(half_open)
        self._host.expect(subflow, flow)
        return subflow


def asks(syn: Segment) -> MpCapable | None:
    """Return the MP_CAPABLE of a SYN if this stack supports it, or ``None``.

    A version above 1 is answered with version 1. Version 0 is not supported (section 3.1).
    """
    capable: MpCapable | None = find(syn.options, MpCapable)
    if capable is None or capable.sender_key is not None:
        return None
    return capable if capable.version >= VERSION and usable(capable) else None


def syn_alone(syn: Segment, config: TcpConfig) -> Segment:
    """Drop the data of a SYN with MP_CAPABLE, as if it had been lost.

    No mapping covers such data, and only TCP Fast Open gives it a place in the stream (appendix B).
    So it must not be acknowledged, and the peer sends it again after the handshake. A join never
    opens fast (section 3.2).
    """
    if find(syn.options, MptcpOption) is None:
        return syn
    opens_fast = find(syn.options, FastOpen) or not config.fast_open_cookies
    if config.fast_open and find(syn.options, MpCapable) and opens_fast:
        return syn  # TCP checks the cookie
    options = tuple(option for option in syn.options if type(option) is not FastOpen)
    flags = syn.flags & ~FIN
    return msgspec.structs.replace(syn, payload=b"", gso_size=0, flags=flags, options=options)
