"""Every knob of TCP, with defaults that act like Linux on the wire."""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.stack.options import NO_OPTIONS, SocketOptions

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


class TcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an endpoint and of all its connections.

    :param send_buffer: octets ``send`` takes that the peer has not acknowledged.
    :param receive_buffer: octets that wait for ``read``, and so the largest window.
    :param receive_buffer_initial: the window to begin with; it grows up to ``receive_buffer`` with
        what the application reads.  0: all of it from the beginning.  The defaults of both are the
        last two numbers of tcp_rmem in tcp(7).
    :param receive_memory: octets by which the windows of all connections of an endpoint may grow
        together, as ``tcp_mem`` of tcp(7) bounds them.
    :param mtu: of the path until it is known better; octets of an IP packet.
    :param mtu_probing: send smaller packets when large ones stay without an answer, though no ICMP
        error has come (RFC 4821, section 7.7; tcp_mtu_probing of tcp(7) is 1).
    :param mss: the MSS that is offered, and the most payload and options of a segment; 0: what
        ``mtu`` leaves.
    :param window_scaling: whether RFC 7323's option is offered; ``timestamps`` likewise.
    :param sack: whether SACK (RFC 2018), and with it RACK-TLP (RFC 8985), is offered.
    :param ecn: whether ECN (RFC 3168) is asked for; it is always granted to a peer that asks, if
        this is on.
    :param nagle: hold back small segments while one is unacknowledged (RFC 9293, section 3.7.4).
    :param cork: hold back all segments that are not full, for a retransmission timeout at most
        where nothing is in flight.
    :param eor: each ``send`` ends a record: no segment has octets of two of them, as with MSG_EOR
        of send(2).
    :param gso: make segments of up to 64 KiB with a ``gso_size``.
    :param congestion: a name of :mod:`testbed.stack.tcp.congestion`.
    :param pacing: spread what the window lets go over the round trip, as Linux does where its qdisc
        is fq.  A control that has a rate of its own is always paced, by that.
    :param delayed_ack_ns: the longest an ACK is put off (RFC 9293, section 3.8.6.3).
    :param rto_initial_ns: before the first sample (RFC 6298, section 2.1).
    :param rto_min_ns: least variance term of the RTO, as Linux has it: 200 ms, not 1 s.
    :param syn_retries: retransmissions of SYN before giving up: after 247 s, where Linux, against
        RFC 9293 (MUST-23: 3 minutes), has 127.
    :param syn_linear_timeouts: how many timeouts of SYN are followed by one as long.  Linux has 4
        (``tcp_syn_linear_timeouts``); RFC 6298 (section 5.5) doubles each.
    :param syn_ack_retries: the same of SYN,ACK, that strangers ask for: 63 s, as in Linux.
    :param retries: consecutive expiries of the RTO before giving up (R2 of RFC 9293, 3.8.3).
    :param orphan_retries: the same after ``close``.
    :param time_wait_ns: 2 MSL.
    :param fin_timeout_ns: how long a closed connection stays in FIN-WAIT-2.
    :param keepalive: probe idle connections after ``keepalive_idle_ns`` of silence, then each
        ``keepalive_interval_ns``; ``keepalive_probes`` unanswered ones end the connection.
    :param user_timeout_ns: end the connection when data stays unacknowledged, cannot be sent, or
        keep-alives stay unanswered for so long (TCP_USER_TIMEOUT of tcp(7); ``keepalive_probes``
        then does not count).  0: for ever, as far as this is concerned.
    :param advertised_timeout_ns: tell the peer by an option that this is our user timeout, and
        heed what it tells (RFC 5482): where ``user_timeout_ns`` is 0, the greater of both is it,
        from 100 s to a day.  0: neither.
    :param notsent_lowat: ``send`` takes data while fewer octets than that have not been sent once
        (TCP_NOTSENT_LOWAT of tcp(7)), up to this limit or a segment beyond; 0: only
        ``send_buffer`` limits it.
    :param linger: SO_LINGER of socket(7): with ``linger_ns`` of 0, ``close`` ends the connection by
        RST.  With more, a close waits at most this long for ``Delivered``: the peer has everything.
        After that the connection goes on by itself, as in Linux.
    :param traffic_class: the octet of that name in the IP header, without ECN's bits.
    :param hop_limit: of IP packets.
    :param challenge_acks_per_second: limit of RFC 5961, section 7, for each connection; answers to
        keep-alives and window probes have as much for themselves.
    :param fast_open: TCP Fast Open (RFC 7413), as client and on all open ports; ``tcp_fastopen=3``
        of Linux.
    :param fast_open_pending: how many connections of a port that began with data on SYN may be in
        the handshake; further ones go without it (TCP_FASTOPEN of tcp(7)).
    :param fast_open_cookies: ``False``: data goes with any SYN and is taken from any, without a
        cookie; for networks where every host is trusted; bits 0x4 and 0x200 of ``tcp_fastopen``.
    :param syn_cookies: answer SYNs that find the backlog full by SYN cookies (RFC 4987).
    """

    send_buffer: int = 4 << 20
    receive_buffer: int = 6 << 20
    receive_buffer_initial: int = 128 << 10
    receive_memory: int = 256 << 20
    mtu: int = 1500
    mtu_probing: bool = False
    mss: int = 0
    window_scaling: bool = True
    timestamps: bool = True
    sack: bool = True
    ecn: bool = False
    nagle: bool = True
    cork: bool = False
    eor: bool = False
    gso: bool = False
    congestion: str = "cubic"
    pacing: bool = False
    delayed_ack_ns: int = 40 * MILLISECOND
    rto_initial_ns: int = SECOND
    rto_min_ns: int = 200 * MILLISECOND
    rto_max_ns: int = 120 * SECOND
    syn_retries: int = 7
    syn_linear_timeouts: int = 0
    syn_ack_retries: int = 5
    retries: int = 15
    orphan_retries: int = 8
    time_wait_ns: int = 60 * SECOND
    fin_timeout_ns: int = 60 * SECOND
    keepalive: bool = False
    keepalive_idle_ns: int = 7200 * SECOND
    keepalive_interval_ns: int = 75 * SECOND
    keepalive_probes: int = 9
    user_timeout_ns: int = 0
    advertised_timeout_ns: int = 0
    notsent_lowat: int = 0
    linger: bool = False
    linger_ns: int = 0
    traffic_class: int = 0
    hop_limit: int = 64
    challenge_acks_per_second: int = 10
    fast_open: bool = False
    fast_open_pending: int = 256
    fast_open_cookies: bool = True
    syn_cookies: bool = True

    @property
    def first_window(self) -> int:
        """Octets of the window to begin with."""
        return first_window(self.receive_buffer, self.receive_buffer_initial)

    @property
    def window_shift(self) -> int:
        """The shift to offer."""
        return window_shift(self.receive_buffer)

    def with_options(self, options: SocketOptions) -> TcpConfig:
        """Return one in which options of a socket take the place of what this says.

        :raises ValueError: an option cannot have its value.
        """
        if options is NO_OPTIONS:
            return self
        options.check()
        given = options.given()
        if "receive_buffer" in given:
            given["receive_buffer_initial"] = 0  # as in Linux: it does not grow
        if "nodelay" in given:
            given["nagle"] = not given.pop("nodelay")
        return msgspec.structs.replace(self, **given)


def window_shift(buffer: int) -> int:
    """Return the least shift with which a window field can express a whole receive buffer."""
    return min(14, max(0, buffer.bit_length() - 16))


def first_window(buffer: int, initial: int) -> int:
    """Return the octets of a window to begin with: no less than its field can express.

    :param initial: octets that are asked for; 0: the whole buffer.
    """
    return min(max(initial or buffer, 1 << window_shift(buffer)), buffer)
