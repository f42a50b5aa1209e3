"""The shortest queue per rate, in bursts of 64 KiB: net/mptcp/protocol.c of Linux 6.18.

See ``mptcp_subflow_get_send`` there. Linux uses the pacing rate, a multiple of a congestion window
per round trip. The multiple is left out here, as Linux uses another one in slow start. Data queues
in the subflow up to twice its window, as Linux's tuning of the send buffer allows
(``tcp_sndbuf_expand``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mypy_extensions import mypyc_attr

from testbed.stack.mptcp.scheduler.base import C, Candidate, Grant, View

_BURST: Final = 65_428  # MPTCP_SEND_BURST_SIZE
_S: Final = 1_000_000_000


@mypyc_attr(allow_interpreted_subclasses=True)
class Linux:
    """Keeps the subflow of the present burst, and the average rate of each subflow."""

    def __init__(self) -> None:
        self._rates: dict[int, float] = {}
        self._last = -1
        self._burst_end = 0

    def select(self, candidates: Sequence[C]) -> C:
        """Return the candidate with the shortest queue per rate, the oldest of equals."""
        return min(candidates, key=lambda one: (_ahead(one) / self._rate(one), one.number))

    def assign(self, view: View[C]) -> Grant[C] | None:
        """Return the rest of a burst, or a new burst; nothing if its subflow is full."""
        if not view.sendable:
            return None
        paths = [*view.ready, *view.full]
        chosen = next((one for one in paths if one.number == self._last), None)
        if chosen is None or view.first >= self._burst_end or not _takes(chosen):
            chosen = self.select(paths)
            if not _takes(chosen):
                return None
            self._begin(chosen, min(_BURST, view.sendable), view.first)
        return chosen, view.first, self._burst_end - view.first

    def _begin(self, chosen: Candidate, burst: int, first: int) -> None:
        ahead = _ahead(chosen)
        average = self._rate(chosen) * ahead + _pace(chosen) * burst
        self._rates[chosen.number] = average / (ahead + burst)
        self._last, self._burst_end = chosen.number, first + burst

    def _rate(self, one: Candidate) -> float:
        return self._rates.get(one.number) or _pace(one)


def _ahead(one: Candidate) -> int:
    return one.in_flight + one.queued


def _pace(one: Candidate) -> float:
    """Return a congestion window per round trip in octets per second, at least 1."""
    return max(1, one.cwnd) * _S / max(1, one.smoothed_rtt_ns or 1)


def _takes(one: Candidate) -> bool:
    return _ahead(one) < 2 * max(one.cwnd, one.segment_size)
