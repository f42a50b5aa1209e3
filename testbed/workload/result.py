"""The result of a workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from testbed.records import Record


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


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which the end at ``node`` read nothing, up to ``end_ns``."""

    node: str
    end_ns: int
    length_ns: int


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a report that only one kind of workload has."""

    metrics: dict[str, float] = {}
    samples_ns: dict[str, tuple[int, ...]] = {}


class WorkloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times are CLOCK_MONOTONIC nanoseconds.

    :param metrics: by their names in :data:`testbed.workload.metrics.METRICS`.
    :param pauses: the longest ones of each end.
    :param records: what the ends saw of their connections, where no probe can.
    :param samples_ns: single values of what the quantiles in ``metrics`` are taken of, in order.
    :param details: what the two ends or the programs said, for the record.
    """

    started_ns: int
    finished_ns: int
    metrics: dict[str, float]
    series: tuple[Series, ...] = ()
    pauses: tuple[Pause, ...] = ()
    records: tuple[Record, ...] = ()
    samples_ns: dict[str, tuple[int, ...]] = {}
    details: dict[str, Any] = {}


OnProgress = Callable[[Progress], None]
