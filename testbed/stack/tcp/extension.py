"""The interface by which another protocol extends a TCP connection.

A connection has an extension or ``None``. With ``None`` each hook costs one check. Hooks record
their input and answer from their records. They never call the connection. An extension acts later,
from outside, by the methods of the connection (``send``, ``shutdown``, ``abort``, ``request_ack``).
If a hook raises, the connection ends.

Metadata of data is in ``ext``, as in Linux's ``skb_ext``. Octets are sent with one
(:meth:`Connection.send <testbed.stack.tcp.connection.TcpConnection.send>`), and no segment has
octets of two different ``ext`` objects. So octets with different metadata are never coalesced.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from mypy_extensions import mypyc_attr

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.state import State


class Notice(enum.Enum):
    """The answer of the extension to a received segment."""

    PLAIN = enum.auto()  # the segment is processed as plain TCP
    SIGNAL = enum.auto()  # options are a signal: an ACK without data is no duplicate ACK
    REFUSED = enum.auto()  # drop the segment; the extension has recorded why


@mypyc_attr(allow_interpreted_subclasses=True)
class Extension(ABC):
    """The extension of one connection.

    It is a base class, not a protocol: TCP calls hooks for each segment, and compiled code calls
    methods of a class directly, but looks up those of a protocol by name.
    """

    @abstractmethod
    def group(self) -> Group:
        """Return the group of congestion controls of the connection."""

    @abstractmethod
    def socket_options(self, given: SocketOptions) -> SocketOptions:
        """Return the initial options of the connection.

        :param given: the options of the open port or of ``connect``.
        """

    @abstractmethod
    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        """Return the options for a segment that is sent now.

        TCP calls it once for each segment, including retransmissions and RST.

        :param flags: the control bits of the segment, without PSH, and without FIN on a segment
            with data, which are set later.
        :param ext: the ``ext`` of its octets; ``None`` for a segment without octets.
        :param room: the octets left by TCP's own options, including padding.
        """

    @abstractmethod
    def received(self, segment: Segment, start: int) -> Notice:
        """Process a segment of this connection that has passed TCP's checks.

        These are the checks of RFC 9293, section 3.10.7.4 (sequence number, RST, SYN, ACK) or, in
        SYN-SENT, those of section 3.10.7.3. TCP calls it before it processes ACK, window and data,
        and also for an acceptable RST.

        :param start: the position of the payload in the peer's stream. The octet after SYN has
            position 0.
        """

    @abstractmethod
    def window(self) -> int | None:
        """Return the window to advertise in octets, or ``None`` for TCP's own window.

        TCP accepts everything that it has advertised before.
        """

    @abstractmethod
    def window_counts(self, window: int) -> bool:
        """Return whether the window of the present segment may be used as send window.

        :param window: its scaled window in octets.
        """

    @abstractmethod
    def state_changed(self, old: State, new: State) -> None:
        """Record a transition of the connection."""

    @abstractmethod
    def timed_out(self) -> None:
        """Record the expiry of the retransmission timer (RFC 6298, section 5).

        TCP also calls it when a tail loss probe has no answer in time (RFC 8985, section 7.3),
        before that timer. TCP itself may first react by a tail loss probe.
        """

    @abstractmethod
    def acked(self, position: int) -> None:
        """Record that the peer has acknowledged the stream up to ``position``."""


class Refuse(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """Raised by an acceptor to answer the SYN with a RST that has these options."""

    def __init__(self, reason: str, options: Sequence[Option] = ()) -> None:
        super().__init__(reason)
        self.options = options


class Acceptor(Protocol):
    """Returns the extension of a new passive connection.

    If it raises anything other than :class:`Refuse`, the answer is a RST.
    """

    def accept(self, syn: Segment) -> Extension | None:
        """Return the extension for the connection of ``syn``.

        :raises Refuse: the connection is refused.
        """

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        """Return the options for a SYN/ACK with a SYN cookie, which keeps no state.

        ``None`` means that this SYN cannot be answered so.
        """

    def resume(self, ack: Segment) -> Extension | None:
        """Return the extension for a connection whose SYN/ACK had the options of :meth:`offer`.

        :param ack: the answer of the peer, the third segment of the handshake.
        :raises Refuse: the connection is refused.
        """
