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
    """When Data ACKs are sent and how, where RFC 8684 leaves a choice.

    :param first: send one as soon as the handshake is done.  It confirms the handshake
        (section 3.1), so the peer needs not wait for data before it joins.
    :param wide: they have 8 octets.  If not, they are as wide as the peer's last data sequence
        number (section 3.3.1), and before there is one they have 4.
    :param beside_addresses: send them together with ADD_ADDR, where there is room.
    :param in_time_wait: send them when TCP is in TIME-WAIT, too.
    :param behind_fin: where the peer's DATA_FIN is the end, FIN of each subflow carries its Data
        ACK, and an ACK says it once more after that.  Otherwise the ACK leaves first.
    """

    first: bool = True
    wide: bool = True
    beside_addresses: bool = True
    in_time_wait: bool = True
    behind_fin: bool = False


LINUX_DATA_ACKS: Final = DataAcks(
    first=False, wide=False, beside_addresses=False, in_time_wait=False, behind_fin=True
)


class MptcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Knobs of an endpoint; the defaults act like Linux on the wire.

    :param tcp: of each subflow.
    :param send_buffer: octets of data that a connection keeps until their Data ACK.
    :param receive_buffer: octets of the window that all subflows of a connection share.
    :param receive_buffer_initial: that window to begin with; it grows up to ``receive_buffer`` with
        what the application reads.  0: all of it from the beginning.
    :param scheduler: a name of :data:`testbed.stack.mptcp.scheduler.SCHEDULERS`.
    :param opportunistic_retransmission: send what holds the shared window up again, on a faster
        subflow (C. Raiciu et al., "How Hard Can It Be? Designing and Implementing a Deployable
        Multipath TCP", NSDI 2012, mechanism 1).
    :param penalisation: reduce the congestion window of the subflow that holds it up, once in a
        round trip (mechanism 2).
    :param deny_join_initial: send the C flag: no join to the address of the first subflow.
    :param checksum: require DSS checksums (the A flag); a peer that does gets them anyway.
    :param data_acks: choices about Data ACKs; Linux makes others (``LINUX_DATA_ACKS``).
    :param join_retries: how often the third ACK of a join is sent again.
    :param announce_ns: after which an ADD_ADDR without echo is sent again; doubled each time.
    :param close_timeout_ns: how long a connection without any subflow lives on.
    :param syn_retrans_before_tcp_fallback: how often a SYN with MP_CAPABLE is sent again before
        the option is left out (the sysctl of ``net.mptcp`` of that name).
    :param blackhole_timeout_ns: how long MPTCP is not tried with a host that has answered only
        then; twice as long each time, 64 times at most.  0: always try.  Linux has this for all
        hosts together (``net.mptcp.blackhole_timeout``).
    :param early_answer: as a server of TCP Fast Open, let the answer to data of a SYN leave before
        the handshake is over, as in figure 19 of the RFC.  It goes without Data ACK, as the
        client's key has not come.  Linux' client takes that for a fallback to TCP, and its server
        waits.
    :param fastclose_by_ack: abort by MP_FASTCLOSE on an ACK (option A of section 3.5), which is
        sent again until RST answers it.  Otherwise it goes on RST, once, on each subflow (option
        R), as Linux does.  What the peer chooses is understood either way.
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
        """Octets of the shared window to begin with."""
        return first_window(self.receive_buffer, self.receive_buffer_initial)

    def with_options(self, options: SocketOptions) -> MptcpConfig:
        """Return one in which options of a socket take the place of what this says.

        :raises ValueError: an option cannot have its value, or is none of MPTCP.
        """
        options.require_mptcp()
        buffers = ("send_buffer", "receive_buffer")
        given = {name: value for name, value in options.given().items() if name in buffers}
        if "receive_buffer" in given:
            given["receive_buffer_initial"] = 0  # as in Linux: it does not grow
        return msgspec.structs.replace(self, tcp=self.tcp.with_options(options), **given)
