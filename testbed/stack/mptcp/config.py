"""The configuration of MPTCP."""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig, first_window

_MIB = 2**20
_S = 10**9


class DataAcks(msgspec.Struct, frozen=True, kw_only=True):
    """The choices that RFC 8684 leaves about Data ACKs.

    :param first: send one as soon as the handshake is complete. It confirms the handshake (section
        3.1), so the peer can join without waiting for data.
    :param wide: always send 8 octets. Otherwise the width is that of the peer's last data sequence
        number (section 3.3.1), and 4 octets before the first one.
    :param beside_addresses: send a Data ACK beside ADD_ADDR if both fit.
    :param in_time_wait: send Data ACKs also in TIME-WAIT.
    :param behind_fin: if the peer's DATA_FIN ends the connection, let the FIN of each subflow carry
        the Data ACK, and repeat it on an ACK after the FIN. Otherwise the ACK leaves before the
        FIN.
    :param before_fin: acknowledge the data of a segment before its DATA_FIN and its Data ACK are
        processed. Then DATA_FIN gets an ACK of its own.
    :param wait_ns: how long data or DATA_FIN waits for its Data ACK, in nanoseconds, before it is
        sent again although TCP has acknowledged everything. The time doubles with each attempt. 0
        computes it from the retransmission time-outs of the subflows.
    """

    first: bool = True
    wide: bool = True
    beside_addresses: bool = True
    in_time_wait: bool = True
    behind_fin: bool = False
    before_fin: bool = False
    wait_ns: int = 0


LINUX_DATA_ACKS: Final = DataAcks(
    first=False,
    wide=False,
    beside_addresses=False,
    in_time_wait=False,
    behind_fin=True,
    before_fin=True,
    wait_ns=200_000_000,
)


class MptcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of an endpoint. The defaults behave like Linux on the wire.

    :param tcp: the configuration of each subflow's TCP.
    :param send_buffer: octets of data that a connection keeps until their Data ACK.
    :param receive_buffer: octets of the window that all subflows of a connection share.
    :param receive_buffer_initial: the size of that window at first. It grows up to
        ``receive_buffer`` with the rate at which the application reads. 0 starts with the full
        size.
    :param scheduler: a name of :data:`testbed.stack.mptcp.scheduler.SCHEDULERS`.
    :param opportunistic_retransmission: when the shared window is full, send the data that blocks
        it again on a faster subflow (C. Raiciu et al., "How Hard Can It Be? Designing and
        Implementing a Deployable Multipath TCP", NSDI 2012, mechanism 1).
    :param penalisation: reduce the congestion window of the subflow that blocks the shared window,
        at most once in a round trip (mechanism 2).
    :param deny_join_initial: set the C flag, which forbids joins to the address of the first
        subflow.
    :param checksum: require DSS checksums (the A flag). They are also used if the peer requires
        them.
    :param data_acks: the choices about Data ACKs. ``LINUX_DATA_ACKS`` are those of Linux.
    :param join_retries: how many times the third ACK of a join is retransmitted.
    :param announce_ns: nanoseconds until an ADD_ADDR without echo is retransmitted, at most. It is
        the greatest retransmission time-out of the subflows if that is less, as in Linux since
        6.18. The time doubles each time.
    :param close_timeout_ns: how long a connection without a subflow is kept, in nanoseconds.
    :param syn_retrans_before_tcp_fallback: how many times a SYN with MP_CAPABLE is retransmitted
        before the option is left out (the ``net.mptcp`` sysctl of that name).
    :param blackhole_timeout_ns: how long MPTCP is not used towards a host that answered only a SYN
        without the option, in nanoseconds. The time doubles with each case, up to 64 times. 0
        always uses MPTCP. Linux has one such time for all hosts (``net.mptcp.blackhole_timeout``).
    :param early_answer: as a server of TCP Fast Open, send the answer to data of a SYN before the
        handshake is complete, as in figure 19 of the RFC. The answer has no Data ACK, because the
        client's key is not known yet. A Linux client treats that as a fallback to TCP. A Linux
        server waits instead.
    :param fastclose_by_ack: abort by MP_FASTCLOSE on an ACK (option A of section 3.5), and
        retransmit it until a RST answers. Otherwise send it once on a RST of each subflow (option
        R), as Linux does. Both are accepted from the peer.
    """

    tcp: TcpConfig = TcpConfig()
    send_buffer: int = 8 * _MIB
    receive_buffer: int = 6 * _MIB
    receive_buffer_initial: int = 128 << 10
    scheduler: str = "earliest"
    opportunistic_retransmission: bool = True
    penalisation: bool = False
    path_manager: str = "kernel_like"
    endpoints: tuple[PathEndpoint, ...] = ()
    limits: PathLimits = PathLimits()
    deny_join_initial: bool = False
    checksum: bool = False
    data_acks: DataAcks = DataAcks()
    join_retries: int = 6
    announce_ns: int = 1 * _S
    close_timeout_ns: int = 60 * _S
    syn_retrans_before_tcp_fallback: int = 2
    blackhole_timeout_ns: int = 3600 * _S
    early_answer: bool = False
    fastclose_by_ack: bool = False

    @property
    def first_window(self) -> int:
        """The initial size of the shared window in octets."""
        return first_window(self.receive_buffer, self.receive_buffer_initial)

    @property
    def plain_tcp(self) -> TcpConfig:
        """The configuration of connections without MPTCP."""
        return msgspec.structs.replace(
            self.tcp,
            receive_buffer=self.receive_buffer,
            receive_buffer_initial=self.receive_buffer_initial,
        )

    @property
    def subflow_tcp(self) -> TcpConfig:
        """The configuration of a subflow's TCP, without the tasks of its connection."""
        return msgspec.structs.replace(
            self.plain_tcp,
            nagle=False,
            cork=False,
            user_timeout_ns=0,
            advertised_timeout_ns=0,
            notsent_lowat=0,
        )

    def with_options(self, options: SocketOptions) -> MptcpConfig:
        """Return a copy in which the options of a socket replace the defaults.

        :raises ValueError: an option has a value that is not allowed, or MPTCP does not have the
            option.
        """
        options.require_mptcp()
        buffers = ("send_buffer", "receive_buffer")
        given = {name: value for name, value in options.given().items() if name in buffers}
        if "receive_buffer" in given:
            given["receive_buffer_initial"] = 0  # as in Linux, a fixed buffer does not grow
        return msgspec.structs.replace(self, tcp=self.tcp.with_options(options), **given)
