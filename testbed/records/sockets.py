"""The state of sockets as values: the kernel's TCP_INFO and MPTCP_INFO, and ours.

A field that a kernel, or our stack, does not have is ``None``, and not 0. Names are the kernel's
without their prefix (``include/uapi/linux/tcp.h``, ``include/uapi/linux/mptcp.h``); fields of our
stack alone are marked "ours only".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

# include/net/tcp_states.h: SYN_SENT, SYN_RECV, CLOSE, LISTEN, NEW_SYN_RECV
_NOT_ESTABLISHED: Final = (2, 3, 7, 10, 12)


class TcpInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TCP_INFO.

    Times are in microseconds, except ``last_*`` and ``total_rto_time``, which are in milliseconds.
    Rates are in octets per second. Windows and counts are in segments if the kernel counts
    segments.

    :param idle_restarts: ours only: idle periods after which the congestion window was reduced (RFC
        5681, section 4.1).
    """

    state: int | None = None
    ca_state: int | None = None
    retransmits: int | None = None
    probes: int | None = None
    backoff: int | None = None
    options: int | None = None
    rto: int | None = None
    ato: int | None = None
    snd_mss: int | None = None
    rcv_mss: int | None = None
    unacked: int | None = None
    sacked: int | None = None
    lost: int | None = None
    retrans: int | None = None
    fackets: int | None = None
    last_data_sent: int | None = None
    last_ack_sent: int | None = None
    last_data_recv: int | None = None
    last_ack_recv: int | None = None
    pmtu: int | None = None
    rcv_ssthresh: int | None = None
    rtt: int | None = None
    rttvar: int | None = None
    snd_ssthresh: int | None = None
    snd_cwnd: int | None = None
    advmss: int | None = None
    reordering: int | None = None
    rcv_rtt: int | None = None
    rcv_space: int | None = None
    total_retrans: int | None = None
    pacing_rate: int | None = None
    max_pacing_rate: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    notsent_bytes: int | None = None
    min_rtt: int | None = None
    data_segs_in: int | None = None
    data_segs_out: int | None = None
    delivery_rate: int | None = None
    busy_time: int | None = None
    rwnd_limited: int | None = None
    sndbuf_limited: int | None = None
    delivered: int | None = None
    delivered_ce: int | None = None
    bytes_sent: int | None = None
    bytes_retrans: int | None = None
    dsack_dups: int | None = None
    reord_seen: int | None = None
    rcv_ooopack: int | None = None
    snd_wnd: int | None = None
    rcv_wnd: int | None = None
    rehash: int | None = None
    total_rto: int | None = None
    total_rto_recoveries: int | None = None
    total_rto_time: int | None = None
    received_ce: int | None = None
    delivered_e1_bytes: int | None = None
    delivered_e0_bytes: int | None = None
    delivered_ce_bytes: int | None = None
    received_e1_bytes: int | None = None
    received_e0_bytes: int | None = None
    received_ce_bytes: int | None = None
    snd_wscale: int | None = None
    rcv_wscale: int | None = None
    delivery_rate_app_limited: int | None = None
    idle_restarts: int | None = None

    @property
    def established(self) -> bool:
        """Whether the connection was established."""
        return self.state not in _NOT_ESTABLISHED


class MptcpFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """MPTCP_INFO of a whole connection; octets are octets of its data.

    :param bytes_retrans: octets that were sent again on another subflow (reinjected).
    :param remote_token: ours only: the peer's token.
    :param bytes_out_of_order: ours only: octets that wait for earlier octets of the data.
    """

    subflows: int | None = None
    add_addr_signal: int | None = None
    add_addr_accepted: int | None = None
    subflows_max: int | None = None
    add_addr_signal_max: int | None = None
    add_addr_accepted_max: int | None = None
    flags: int | None = None
    token: int | None = None
    write_seq: int | None = None
    snd_una: int | None = None
    rcv_nxt: int | None = None
    local_addr_used: int | None = None
    local_addr_max: int | None = None
    csum_enabled: int | None = None
    retransmits: int | None = None
    bytes_retrans: int | None = None
    bytes_sent: int | None = None
    bytes_received: int | None = None
    bytes_acked: int | None = None
    subflows_total: int | None = None
    last_data_sent: int | None = None
    last_data_recv: int | None = None
    last_ack_recv: int | None = None
    remote_token: int | None = None
    bytes_out_of_order: int | None = None


class Subflow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One subflow; ``id`` counts in order of creation, if the kernel reports it (6.5).

    :param backup: ours only: whether it is a backup (RFC 8684, section 3.3.8).
    """

    id: int | None
    local: str  # "10.0.1.1:5001", "[fd00::1]:5001"
    remote: str
    backup: bool | None = None
    tcp: TcpInfo


class MptcpInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An MPTCP connection, seen from one end.

    :param fallback: whether the connection has fallen back to plain TCP (RFC 8684, section 3.7).
    :param info: the fields of MPTCP_INFO; empty if the kernel refuses them after a fallback.
    :param ended: ours only: the last state of the subflows that ended most recently.
    """

    fallback: bool
    info: MptcpFields = MptcpFields()
    subflows: tuple[Subflow, ...]
    ended: tuple[Subflow, ...] = ()

    @property
    def established(self) -> int:
        """The number of established subflows. ``info`` also counts subflows that never were."""
        return sum(subflow.tcp.established for subflow in self.subflows)


class View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a connection at one end: MPTCP or plain TCP."""

    mptcp_info: MptcpInfo | None = None
    tcp_info: TcpInfo | None = None

    @property
    def subflows(self) -> int:
        """The number of established subflows; 0 for plain TCP and without a state."""
        return 0 if self.mptcp_info is None else self.mptcp_info.established


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One end's view of a connection of a flow.

    :param used: the options in use.
    """

    view: View
    used: dict[str, Any] = {}


class End(Connection, frozen=True, kw_only=True):
    """One end's view of the connections of a flow: the first one and the ``further`` ones."""

    node: str
    further: tuple[Connection, ...] = ()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All connections."""
        return (self, *self.further)


def ends(details: Mapping[str, Any]) -> tuple[End, ...]:
    """Return the views of the ends in the details of a run; ends without a view are skipped."""
    return tuple(
        msgspec.convert(end, End)
        for end in details.values()
        if isinstance(end, Mapping) and "view" in end
    )
