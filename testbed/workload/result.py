"""What comes out of a workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a workload is.

    The first one, with ``done`` 0, comes when the client starts to connect: its ``started_ns`` is
    the zero of the run's time line.
    """

    started_ns: int
    now_ns: int
    done: float
    total: float | None  # None: not known
    unit: str  # octets, transactions, blocks or s


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity counted in equal intervals.

    ``values[i]`` belongs to ``start_ns + i * step_ns <= t < start_ns + (i + 1) * step_ns``.
    """

    name: str
    node: str
    unit: str
    start_ns: int
    step_ns: int
    values: tuple[int, ...]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of workload adds to what all of them report."""

    metrics: dict[str, float] = {}
    samples_ns: dict[str, tuple[int, ...]] = {}


class WorkloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times are CLOCK_MONOTONIC nanoseconds; ``metrics`` has names of :data:`METRICS`.

    :param samples_ns: single values of what the quantiles in ``metrics`` are taken of, in order.
    :param details: what the two ends or the programs said, for the record.
    """

    started_ns: int
    finished_ns: int
    metrics: dict[str, float]
    series: tuple[Series, ...] = ()
    samples_ns: dict[str, tuple[int, ...]] = {}
    details: dict[str, Any] = {}


OnProgress = Callable[[Progress], None]
