"""The configuration of TCP. The defaults behave like Linux on the wire."""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.stack.options import NO_OPTIONS, SocketOptions

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


class TcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an endpoint and of its connections.

    :param send_buffer: how many octets may be unacknowledged or unsent.
    :param receive_buffer: how many octets may wait for ``read``, which is the largest window.
    :param receive_buffer_initial: the size of the window at first. It grows up to
        ``receive_buffer`` with the rate at which the application reads. 0 starts with the full
        size. The defaults of both are the last two numbers of tcp_rmem in tcp(7).
    :param receive_memory: octets by which the windows of all connections of an endpoint may grow
        together, as ``tcp_mem`` of tcp(7) bounds them.
    :param mtu: the assumed path MTU, in octets of an IP packet, until a router reports another one.
    :param mtu_probing: send smaller packets when large ones get no answer, even without an ICMP
        error (RFC 4821, section 7.7; tcp_mtu_probing = 1 of tcp(7)).
    :param mss: the offered MSS, and the limit of payload and options of a segment. 0 derives it
        from ``mtu``.
    :param window_scaling: whether the window scale option of RFC 7323 is offered. ``timestamps`` is
        its other option.
    :param sack: whether SACK (RFC 2018), and with it RACK-TLP (RFC 8985), is offered.
    :param ecn: whether ECN (RFC 3168) is requested, and granted to a peer that requests it.
    :param ecn_granted: whether it is granted to a peer that requests it, even if this side does not
        request it.
    :param nagle: hold back small segments while one is unacknowledged (RFC 9293, section 3.7.4).
    :param cork: hold back all segments that are not full, at most for a retransmission timeout
        while nothing is in flight.
    :param eor: end a record with each ``send``. No segment has octets of two records, as with
        MSG_EOR of send(2).
    :param gso: create segments of up to 64 KiB with a ``gso_size``.
    :param congestion: a name of :mod:`testbed.stack.tcp.congestion`.
    :param pacing: spread the window over the round trip, as Linux does with the qdisc fq. A
        congestion control with its own rate is always paced by that rate.
    :param delayed_ack_ns: the longest delay of an ACK (RFC 9293, section 3.8.6.3).
    :param rto_initial_ns: the RTO before the first sample (RFC 6298, section 2.1).
    :param rto_min_ns: the smallest variance term of the RTO: 200 ms as in Linux, not 1 s.
    :param syn_retries: how many times SYN is retransmitted. With the default, a connection attempt
        ends after 247 s. RFC 9293 requires 3 minutes (MUST-23), Linux has 127 s.
    :param syn_linear_timeouts: how many timeouts of SYN do not double the next one. Linux has 4
        (``tcp_syn_linear_timeouts``). RFC 6298 (section 5.5) doubles each.
    :param syn_ack_retries: how many times SYN/ACK is retransmitted; the default lasts 63 s, as in
        Linux.
    :param retries: how many expiries of the RTO in a row end a connection (R2 of RFC 9293, 3.8.3).
    :param orphan_retries: the same number after ``close``.
    :param time_wait_ns: 2 MSL.
    :param fin_timeout_ns: how long a closed connection stays in FIN-WAIT-2.
    :param keepalive: probe idle connections after ``keepalive_idle_ns`` of silence, then every
        ``keepalive_interval_ns``. ``keepalive_probes`` unanswered probes end the connection.
    :param user_timeout_ns: end the connection when data is unacknowledged or unsent, or keep-alives
        are unanswered, for this time (TCP_USER_TIMEOUT of tcp(7); ``keepalive_probes`` is then
        ignored). 0 sets no limit.
    :param advertised_timeout_ns: advertise this user timeout to the peer, and use the peer's (RFC
        5482). If ``user_timeout_ns`` is 0, the greater of both is the user timeout, between 100 s
        and a day. 0 disables the option.
    :param notsent_lowat: accept data only while fewer octets than this were never sent
        (TCP_NOTSENT_LOWAT of tcp(7)), up to this limit or a segment beyond. 0: only ``send_buffer``
        is the limit.
    :param linger: SO_LINGER of socket(7). If ``linger_ns`` is 0, ``close`` resets the connection.
        Otherwise a close waits at most this long for ``Delivered``, which says that the peer has
        everything. After that the connection ends in the background, as in Linux.
    :param traffic_class: the octet of that name in the IP header, without ECN's bits.
    :param hop_limit: of IP packets.
    :param challenge_acks_per_second: the limit of RFC 5961, section 7, for each connection. Answers
        to keep-alives and window probes have a separate limit of the same size.
    :param fast_open: use TCP Fast Open (RFC 7413) as client and on all open ports, as Linux with
        ``tcp_fastopen=3``.
    :param fast_open_pending: how many connections of a port that started with data on SYN may be in
        the handshake. Others do not use TCP Fast Open (TCP_FASTOPEN of tcp(7)).
    :param fast_open_cookies: whether cookies are required. ``False`` sends and accepts data on each
        SYN without a cookie, for networks of trusted hosts (bits 0x4 and 0x200 of
        ``tcp_fastopen``).
    :param fast_open_keys: the keys of cookies, as in TCP_FASTOPEN_KEY and ``tcp_fastopen_key``: 16
        octets, and those of the previous key, whose cookies stay valid. Without them the endpoint's
        secret is the key.
    :param syn_cookies: answer SYNs by SYN cookies (RFC 4987) while the backlog is full.
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
    ecn_granted: bool = True
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
    fast_open_keys: tuple[bytes, ...] = ()
    syn_cookies: bool = True

    @property
    def first_window(self) -> int:
        """The initial size of the window in octets."""
        return first_window(self.receive_buffer, self.receive_buffer_initial)

    @property
    def grants_ecn(self) -> bool:
        """Whether a peer that requests ECN may use it."""
        return self.ecn or self.ecn_granted

    @property
    def window_shift(self) -> int:
        """The window scale to offer."""
        return window_shift(self.receive_buffer)

    def with_options(self, options: SocketOptions) -> TcpConfig:
        """Return a copy in which the options of a socket replace the defaults.

        :raises ValueError: an option has a value that is not allowed.
        """
        if options is NO_OPTIONS:
            return self
        options.check()
        given = options.given()
        if "receive_buffer" in given:
            given["receive_buffer_initial"] = 0  # as in Linux, a fixed buffer does not grow
        if "nodelay" in given:
            given["nagle"] = not given.pop("nodelay")
        return msgspec.structs.replace(self, **given)


def window_shift(buffer: int) -> int:
    """Return the smallest window scale that can express a whole receive buffer."""
    return min(14, max(0, buffer.bit_length() - 16))


def first_window(buffer: int, initial: int) -> int:
    """Return the initial size of a window in octets, at least what its field can express.

    :param initial: the requested size in octets; 0 for the whole buffer.
    """
    return min(max(initial or buffer, 1 << window_shift(buffer)), buffer)
