"""The result of a workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from testbed.records import Record


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a workload.

    The first report, with ``done`` 0, is made when the client starts to connect. Its ``started_ns``
    is the zero of the run's time line.
    """

    started_ns: int
    now_ns: int
    done: float
    total: float | None  # None if not known
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
    """An interval up to ``end_ns`` in which the end at ``node`` read nothing."""

    node: str
    end_ns: int
    length_ns: int


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a result that is specific to one kind of workload."""

    metrics: dict[str, float] = {}
    samples_ns: dict[str, tuple[int, ...]] = {}


class WorkloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a workload. Times are CLOCK_MONOTONIC nanoseconds.

    :param metrics: the metrics by their names in :data:`testbed.workload.metrics.METRICS`.
    :param pauses: the longest pauses of each end.
    :param records: what the ends observed of their connections, if no probe can observe it.
    :param samples_ns: the single values behind the quantiles in ``metrics``, in order.
    :param details: the reports of the two ends or of the programs, for the record.
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
