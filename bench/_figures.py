"""The measured values of a benchmark for other programs: ``figures`` in its JSON document."""

from __future__ import annotations

import time
from typing import Final, Literal

import msgspec

LOOPS: Final = 200_000


class Beside(msgspec.Struct, frozen=True):
    """The anchor of a figure: another value, measured in the same interleaved run."""

    what: str
    value: float


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number.

    :param beside: its anchor; the figure of merit is then the ratio of both.
    :param goal: applies to the ratio if there is an anchor, otherwise to the value.
    :param build: which modules ran: ``compiled`` or ``interpreted``.
    """

    what: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    beside: Beside | None = None
    goal: float | None = None
    build: str

    @property
    def merit(self) -> float:
        """The value to which the goal applies."""
        return self.value if self.beside is None else self.value / self.beside.value

    @property
    def key(self) -> tuple[str, str]:
        """The name of what is measured, with the build."""
        return self.what, self.build


class Figures(msgspec.Struct, frozen=True):
    """The part of a benchmark's JSON document for other programs."""

    figures: list[Figure]


def tell(figures: list[Figure], *, as_json: bool) -> None:
    """Print figures, one on each line, or the document for other programs."""
    if as_json:
        print(msgspec.json.encode(Figures(figures)).decode())
        return
    for each in figures:
        print(f"{each.what}, {each.build}: {each.value:.3g} {each.unit}")


def anchor_us() -> float:
    """Return the CPU time of a fixed piece of interpreted Python: how fast this machine is now."""
    began = time.process_time()
    found: dict[int, int] = {}
    for number in range(LOOPS):
        key = number & 1023
        found[key] = found.get(key, 0) + len(found)
    return (time.process_time() - began) * 1e6
