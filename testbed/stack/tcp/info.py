"""The TCP_INFO of a connection."""

from __future__ import annotations

from typing import Any, Final

from testbed.stack.tcp.congestion.control import NO_THRESHOLD
from testbed.stack.tcp.rack import DUPLICATE_THRESHOLD
from testbed.stack.tcp.recovery import Phase
from testbed.stack.tcp.sender import Sender
from testbed.stack.tcp.state import State
from testbed.stack.tcp.tcb import Tcb

# include/net/tcp_states.h
_STATES: Final = {
    State.ESTABLISHED: 1,
    State.SYN_SENT: 2,
    State.SYN_RECEIVED: 3,
    State.FIN_WAIT_1: 4,
    State.FIN_WAIT_2: 5,
    State.TIME_WAIT: 6,
    State.CLOSED: 7,
    State.CLOSE_WAIT: 8,
    State.LAST_ACK: 9,
    State.LISTEN: 10,
    State.CLOSING: 11,
}
# include/uapi/linux/tcp.h: TCPI_OPT_*
_TIMESTAMPS: Final = 1
_SACK: Final = 2
_WINDOW_SCALING: Final = 4
_ECN: Final = 8
_SYN_DATA: Final = 32


_NO_THRESHOLD: Final = 0x7FFF_FFFF  # TCP_INFINITE_SSTHRESH
_NO_RATE: Final = (1 << 64) - 1  # nothing limits the pacing rate


def tcp_info(tcb: Tcb) -> dict[str, Any]:
    """Return the fields of TCP_INFO that have a meaning here, and ``idle_restarts``, which is ours.

    Units are those of the kernel: times in microseconds, windows partly in segments. As in Linux,
    lost data counts as lost until it is acknowledged, even after its retransmission. Not available
    are fields that need the time of the call (``last_*``), fields without a counter here
    (``data_segs_*``, ``rcv_ooopack``, ``reord_seen``), and those of Linux's buffer sizes
    (``rcv_space``, ``rcv_ssthresh``).
    """
    mss = max(1, tcb.sender.mss)
    return {
        **_state(tcb),
        **_flight(tcb.sender, mss),
        **_path(tcb.sender, mss),
        **_totals(tcb, mss),
        "snd_mss": tcb.sender.mss,
        "rcv_mss": tcb.receiver.segment,
        "pmtu": tcb.sender.segment_limit + tcb.headers,
        "advmss": tcb.advertised_mss,
    }


def _state(tcb: Tcb) -> dict[str, Any]:
    sender, receiver = tcb.sender, tcb.receiver
    measured = receiver.rtt.value if receiver.rtt is not None else None
    phase: Phase = sender.recovery.phase
    return {
        "state": _STATES[tcb.state],
        "ca_state": int(phase),
        "retransmits": sender.timer.unanswered if sender.board.records else 0,
        "probes": tcb.keepalive.probes,
        "backoff": sender.timer.backoffs,
        "options": _TIMESTAMPS * tcb.timestamps.used
        | _SACK * tcb.sack
        | _WINDOW_SCALING * tcb.window_scaling
        | _ECN * tcb.ecn.used
        | _SYN_DATA * (tcb.early is not None and tcb.early.acknowledged),
        "snd_wscale": sender.window.shift,
        "rcv_wscale": receiver.shift,
        "delivery_rate_app_limited": int(sender.rate.app_limited),
        "rto": sender.timer.timeout_ns // 1000,
        "ato": receiver.delay_ns // 1000,
        "rcv_rtt": (measured or 0) // 1000,
        "snd_wnd": sender.window.size,
        "rcv_wnd": max(0, receiver.edge - receiver.next),
    }


def _flight(sender: Sender, mss: int) -> dict[str, Any]:
    """Return the outstanding data in segments.

    As in Linux ``lost`` counts lost data without an acknowledgment, including its retransmitted
    part, which is ``retrans``. So ``unacked - sacked - lost + retrans`` is in flight.
    """
    board = sender.board
    return {
        "unacked": -(-(sender.next - sender.una) // mss),
        "sacked": -(-board.sacked // mss),
        "lost": -(-board.lost // mss) + board.resent_in_flight,
        "retrans": board.resent_in_flight,
        "fackets": 0,  # Linux has not counted them since 4.15
        "reordering": DUPLICATE_THRESHOLD,
        "notsent_bytes": sender.queue.octets,
    }


def _path(sender: Sender, mss: int) -> dict[str, Any]:
    rtt, control = sender.rtt, sender.recovery.control
    unknown = control.threshold >= NO_THRESHOLD
    return {
        "rtt": (rtt.smoothed or 0) // 1000,
        "rttvar": rtt.variance // 1000,
        "min_rtt": (rtt.minimum or 0) // 1000,
        "snd_ssthresh": _NO_THRESHOLD if unknown else control.threshold // mss,
        "snd_cwnd": control.window // mss,
        "pacing_rate": control.pacing_rate or _NO_RATE,
        "max_pacing_rate": _NO_RATE,
        "delivery_rate": sender.rate.per_second,
    }


def _totals(tcb: Tcb, mss: int) -> dict[str, Any]:
    sender, times = tcb.sender, tcb.chronograph
    sent = max(0, sender.next) - (sender.finished is not None)
    arrived = sender.acknowledged + sender.board.sacked
    return {
        "busy_time": times.busy_ns // 1000,
        "rwnd_limited": times.window_ns // 1000,
        "sndbuf_limited": times.buffer_ns // 1000,
        "delivered": -(-arrived // mss) + (sender.una >= 0),  # SYN counts as a segment
        "bytes_sent": sent + sender.octets_resent,
        "total_retrans": sender.total_resent,
        "bytes_retrans": sender.octets_resent,
        "bytes_acked": sender.acknowledged,
        "bytes_received": tcb.receiver.buffer.next,
        "segs_out": tcb.segments_sent,
        "segs_in": tcb.segments_received,
        "dsack_dups": sender.recovery.spurious,
        "total_rto": sender.timer.timeouts,
        "idle_restarts": sender.idle_restarts,
    }


def totals(tcb: Tcb) -> dict[str, int]:
    """Return the share of a connection in the MIB counters of its host."""
    sender = tcb.sender
    recovery, probe = sender.recovery, sender.probe
    return {
        "TcpCurrEstab": int(tcb.state in (State.ESTABLISHED, State.CLOSE_WAIT)),
        "TcpInSegs": tcb.segments_received,
        "TcpOutSegs": tcb.segments_sent,
        "TcpRetransSegs": sender.total_resent,
        "TcpExtTCPTimeouts": sender.timer.timeouts,
        "TcpExtTCPDSACKRecv": recovery.spurious,
        "TcpExtTCPLossProbes": probe.probes,
        "TcpExtTCPLossProbeRecovery": probe.repaired,
        "TcpExtTCPLostRetransmit": sender.board.lost_again,
        "TcpExtTCPSackRecovery": recovery.recoveries if tcb.sack else 0,
        "TcpExtTCPRenoRecovery": 0 if tcb.sack else recovery.recoveries,
        **(recovery.undone or {}),
    }
