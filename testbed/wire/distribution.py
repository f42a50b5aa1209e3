"""The jitter distributions of netem, as the tables of iproute2.

A table is a sampled inverse of a cumulative distribution function: a random index gives a value
with mean 0 and standard deviation 1, scaled by 8192.  The formulas are those of iproute2's
``netem/normal.c``, ``pareto.c`` and ``paretonormal.c`` (from NIST Net); the kernel receives the
same table (``TCA_NETEM_DELAY_DIST``) that the emulator uses.
"""

from __future__ import annotations

import functools
from array import array
from typing import Final

from testbed.wire.options import Distribution

SCALE: Final = 8192  # NETEM_DIST_SCALE
SIZE: Final = 4096
LARGEST: Final = 4  # no value of a table is further from 0, in standard deviations

_SHAPE: Final = 3.0  # the shape of the Pareto distribution


@functools.cache
def table(distribution: Distribution) -> array[int] | None:
    """Return the table of signed 16-bit values; ``None`` for uniform, which netem computes."""
    if distribution is Distribution.UNIFORM:
        return None
    if distribution is Distribution.PARETO:
        values = _pareto()
    elif distribution is Distribution.NORMAL:
        values = _normal()
    else:
        values = [int((n + 3 * p) / 4) for n, p in zip(_normal(), _pareto(), strict=True)]
    return array("h", (max(-32768, min(32767, value)) for value in values))


def _normal() -> list[int]:
    from statistics import NormalDist  # noqa: PLC0415  costs an emulator's start 10 ms

    inverse = NormalDist().inv_cdf
    return [round(SCALE * inverse((4 * i + 0.5) / (4 * SIZE))) for i in range(SIZE)]


def _pareto() -> list[int]:
    values = (((SIZE - i) / SIZE) ** (-1 / _SHAPE) for i in range(SIZE))
    return [min(32767, round((value - 1.5) * 4 / 3 * SCALE)) for value in values]
