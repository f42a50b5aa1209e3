"""The only way in which another protocol gets into a TCP connection.

A connection has an extension or ``None``; with ``None`` each hook costs one check.  Hooks record
what they see and answer from what they have recorded; they never call the connection back.  What
an extension wants done it does later, from outside, with the connection's own methods (``send``,
``shutdown``, ``abort``, ``request_ack``).  A hook that raises ends the connection.

What travels with data is in ``ext``, as in Linux's ``skb_ext``: octets are sent with one
(:meth:`Connection.send <testbed.stack.tcp.connection.TcpConnection.send>`), and no segment spans
octets whose ``ext`` is not the same object.  That is the veto against coalescing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.state import State


class Notice(enum.Enum):
    """The extension's answer about a segment that it has looked at."""

    PLAIN = enum.auto()  # nothing special
    SIGNAL = enum.auto()  # its options are a message: an ACK without data is no duplicate ACK
    REFUSED = enum.auto()  # it must not be processed further; the extension has noted why


class Extension(Protocol):
    """The extension of one connection."""

    def group(self) -> Group:
        """Return the group of congestion controls to which the connection's belongs."""

    def socket_options(self, given: SocketOptions) -> SocketOptions:
        """Return the options that the connection begins with.

        :param given: those of the open port, or of ``connect``.
        """

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        """Return the options for a segment that is about to leave.

        Called once for each segment that is made, retransmissions too, also for RST.

        :param flags: the segment's control bits; PSH, and FIN on a segment with data, are decided
            on later and are not among them.
        :param ext: what its octets were sent with; ``None`` for a segment without any.
        :param room: octets TCP's own options leave, padding included.
        """

    def received(self, segment: Segment, start: int) -> Notice:
        """Look at a segment of this connection that has passed TCP's own checks.

        These are the checks of RFC 9293, section 3.10.7.4 (sequence number, RST, SYN, ACK) or,
        in SYN-SENT, those of section 3.10.7.3.  It comes before TCP takes ACK, window and data
        from it, and also for a RST that is going to be obeyed.

        :param start: position of the first octet of the payload in the peer's stream: 0 for its
            first octet, the one after SYN.
        """

    def window(self) -> int | None:
        """Return the octets of window to advertise, or ``None``: TCP's own.

        TCP still accepts whatever it has advertised before.
        """

    def window_counts(self, window: int) -> bool:
        """Tell whether the window of the segment just received may be used as send window.

        :param window: its window field, scaled: octets.
        """

    def state_changed(self, old: State, new: State) -> None:
        """Note a transition of the connection."""

    def timed_out(self) -> None:
        """Note that the peer is silent: the retransmission timer has expired (RFC 6298, section 5).

        Or a tail loss probe was not answered in time (RFC 8985, section 7.3), before that timer.
        TCP's own answer may be a tail loss probe at first.
        """

    def acked(self, position: int) -> None:
        """Note that the peer has acknowledged all octets of the stream before ``position``."""


class Refuse(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """Raised by an acceptor: answer the SYN with a RST that has these options."""

    def __init__(self, reason: str, options: Sequence[Option] = ()) -> None:
        super().__init__(reason)
        self.options = options


class Acceptor(Protocol):
    """Decides at accept time what rides on the new connection.

    Where it raises something else than :class:`Refuse`, the answer is a RST.
    """

    def accept(self, syn: Segment) -> Extension | None:
        """Return the extension for the connection that ``syn`` asks for.

        :raises Refuse: there must not be one.
        """

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        """Return the options for a SYN,ACK of which nothing is kept (a SYN cookie).

        ``None``: this SYN cannot be answered so.
        """

    def resume(self, ack: Segment) -> Extension | None:
        """Return the extension for a connection whose SYN,ACK had the options of :meth:`offer`.

        :param ack: the peer's answer, the third segment of the handshake.
        :raises Refuse: there must not be one.
        """
