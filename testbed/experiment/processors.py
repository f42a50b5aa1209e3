"""How busy the machine's processors are, and whether they, and not the network, were measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from testbed.machine.model import EMULATED

_SATURATED: Final = 0.85  # on average, ends and start included
_IDLE: Final = slice(3, 5)  # idle and iowait, proc_stat(5)
_COUNTED: Final = 8  # what follows is part of what precedes


class Processors:
    """The time all processors together spent since this was made."""

    def __init__(self) -> None:
        self._start = _ticks()

    def busy(self) -> float:
        """Return the share of the time they were not idle, from 0 to 1."""
        spent = [now - before for now, before in zip(_ticks(), self._start, strict=True)]
        return 1 - sum(spent[_IDLE]) / max(1, sum(spent))

    def doubt(self) -> str | None:
        """Return why a run proves nothing if emulated processors could not keep up."""
        busy = self.busy()
        if not os.environ.get(EMULATED) or busy < _SATURATED:
            return None
        return (
            f"the emulated processors were busy {busy:.0%} of the time: "
            "they were measured, not the network"
        )


def _ticks() -> list[int]:
    first = Path("/proc/stat").read_text().partition("\n")[0]
    return [int(word) for word in first.split()[1 : 1 + _COUNTED]]
