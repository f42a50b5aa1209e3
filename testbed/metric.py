"""Metrics: a named number with a unit, a definition and a better direction."""

from __future__ import annotations

import enum
import re
from typing import Final, Literal

import msgspec

from testbed.errors import InputError

LARGEST: Final = 1e100  # the largest value: its squares and sums are still finite
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

Unit = Literal["bit/s", "s", "octets", "s/GB", "1"]


class Better(enum.StrEnum):
    """Which values are better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Source(enum.StrEnum):
    """The source of a number."""

    WORKLOAD = "workload"  # the ends of the flow measured it
    PROBE = "probe"  # a probe counted it
    DERIVED = "derived"  # a metric computed from the data of workloads and probes


class Subject(enum.StrEnum):
    """The subjects of numbers: the part before the name in ``SUBJECT.METRIC``."""

    FLOW = "flow"  # transfer.goodput; no subject if there is one flow
    PATH = "path"  # transfer@wifi.share; @wifi.share if there is one flow
    WIRE = "wire"  # wifi>server.dropped
    RUN = "run"  # jain


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one number.

    :param name: in lower case with underscores.
    :param unit: bit/s, s, octets, s/GB (10^9 octets of payload), or 1 for counts and shares.
    :param definition: one sentence.
    :param needs: probes; at least one of them must have recorded the run.
    :param of: the possible subjects of the metric.
    :param several: whether a flow or a run has the number only if there are several flows.
    :param names: whether the values are identifiers, which are only equal or not equal.
    :param robust: whether the value is independent of the load of the processors.
    """

    name: str
    unit: Unit
    better: Better
    definition: str
    source: Source
    needs: tuple[str, ...] = ()
    of: tuple[Subject, ...] = (Subject.FLOW,)
    several: bool = False
    names: bool = False
    robust: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"{self.name!r} is not a valid name for a metric", hint="for example: longest_gap"
            )
