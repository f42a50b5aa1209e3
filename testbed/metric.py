"""Metrics: a named number with a unit, a definition and a better direction."""

from __future__ import annotations

import enum
import re
from typing import Final, Literal

import msgspec

from testbed.errors import InputError

LARGEST: Final = 1e100  # of a value: squares and sums of such are numbers, too
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

Unit = Literal["bit/s", "s", "octets", "s/GB", "1"]


class Better(enum.StrEnum):
    """Which values are better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Source(enum.StrEnum):
    """Where a number comes from."""

    WORKLOAD = "workload"  # its ends measured it
    PROBE = "probe"  # a probe counted it
    DERIVED = "derived"  # it is computed from what workloads and probes saw


class Subject(enum.StrEnum):
    """The subjects of numbers: the part before the name in ``SUBJECT.METRIC``."""

    FLOW = "flow"  # transfer.goodput; nothing where there is one flow
    PATH = "path"  # transfer@wifi.share; @wifi.share where there is one flow
    WIRE = "wire"  # wifi>server.dropped
    RUN = "run"  # jain


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one number.

    :param name: in lower case with underscores.
    :param unit: bit/s, s, octets, s/GB (10^9 octets of payload), or 1 for counts and shares.
    :param definition: one sentence.
    :param needs: probes, one of which must have seen the run.
    :param of: what it can be about.
    :param several: of a flow or a run it is a number only where there are several flows.
    :param names: it does not measure, it names: two values are equal or not.
    :param robust: it does not depend on how busy the processors are.
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
                f"{self.name!r} is no name of a metric", hint="for example: longest_gap"
            )
