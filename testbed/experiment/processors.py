"""Whether a run measured the processors of a machine instead of its network.

This is checked for emulated processors only: they are so slow that no experiment measures them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from testbed.machine.model import EMULATED

_SATURATED: Final = 0.85  # average load above which a processor is saturated
_IDLE: Final = slice(3, 5)  # idle and iowait, proc_stat(5)
_COUNTED: Final = 8  # the later fields are parts of the earlier ones
# The processes that carry the data, each on one processor at a time.
_ENDS: Final = {"cpu_source": "the source", "cpu_target": "the target"}


class Processors:
    """The total time of all processors since :meth:`begin`."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start to count."""
        self._start = _ticks()

    def busy(self) -> float:
        """Return the share of the time in which they were busy, from 0 to 1."""
        spent = [now - before for now, before in zip(_ticks(), self._start, strict=True)]
        return 1 - sum(spent[_IDLE]) / max(1, sum(spent))


def doubt(busy: float, metrics: Mapping[str, float]) -> str | None:
    """Return why a run proves nothing if emulated processors could not keep up.

    :param busy: the busy share of all processors, from 0 to 1.
    :param metrics: the metrics of the workload.
    """
    if not os.environ.get(EMULATED):
        return None
    shares = {"processors": busy}
    if duration_s := metrics.get("duration"):
        shares |= {
            f"processor of {who}": metrics[name] / duration_s
            for name, who in _ENDS.items()
            if name in metrics
        }
    who, share = max(shares.items(), key=lambda item: item[1])
    if share < _SATURATED:
        return None
    return (
        f"the emulated {who} was busy {share:.0%} of the time: the run measured it, not the network"
    )


def _ticks() -> list[int]:
    first = Path("/proc/stat").read_text().partition("\n")[0]
    return [int(word) for word in first.split()[1 : 1 + _COUNTED]]
