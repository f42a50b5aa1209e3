"""A connection's own TCP_INFO."""

from __future__ import annotations

from typing import Any, Final

from testbed.stack.tcp.recovery import Phase
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


def tcp_info(tcb: Tcb) -> dict[str, Any]:
    """Return the fields of TCP_INFO that have a meaning here.

    Times are in microseconds, windows in segments where the kernel has them so.  As there, what
    was lost counts as lost until it is acknowledged, also when it has been sent again.
    """
    sender, receiver = tcb.sender, tcb.receiver
    recovery, rtt, board = sender.recovery, sender.rtt, sender.board
    mss = max(1, sender.mss)
    phase: Phase = recovery.phase
    return {
        "state": _STATES[tcb.state],
        "ca_state": int(phase),
        "retransmits": sender.timer.backoffs if board.records else 0,
        "probes": tcb.keepalive.probes,
        "backoff": sender.timer.backoffs,
        "options": _TIMESTAMPS * tcb.timestamps.used
        | _SACK * tcb.sack
        | _WINDOW_SCALING * tcb.window_scaling
        | _ECN * tcb.ecn.used
        | _SYN_DATA * (tcb.early is not None and tcb.early.acknowledged),
        "snd_wscale": sender.window.shift,
        "rcv_wscale": receiver.shift,
        "rto": sender.timer.timeout_ns // 1000,
        "ato": receiver.delay_ns // 1000,
        "snd_mss": sender.mss,
        "rcv_mss": receiver.segment,
        "unacked": -(-(sender.next - sender.una) // mss),
        "sacked": -(-board.sacked // mss),
        "lost": -(-board.lost // mss) + board.resent_in_flight,
        "pmtu": sender.segment_limit + tcb.headers,
        "rtt": (rtt.smoothed or 0) // 1000,
        "rttvar": rtt.variance // 1000,
        "min_rtt": (rtt.minimum or 0) // 1000,
        "snd_ssthresh": min(recovery.control.threshold // mss, 0x7FFFFFFF),
        "snd_cwnd": recovery.control.window // mss,
        "advmss": tcb.advertised_mss,
        "total_retrans": sender.total_resent,
        "bytes_retrans": sender.octets_resent,
        "bytes_acked": sender.acknowledged,
        "bytes_received": receiver.buffer.next,
        "segs_out": tcb.segments_sent,
        "segs_in": tcb.segments_received,
        "notsent_bytes": sender.queue.octets,
        "dsack_dups": recovery.spurious,
        "snd_wnd": sender.window.size,
        "rcv_wnd": max(0, receiver.edge - receiver.next),
        "total_rto": sender.timer.timeouts,
    }
