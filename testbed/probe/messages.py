"""The messages of the sampler on its standard output: JSON, one object a line."""

from __future__ import annotations

import msgspec

from testbed.failure import Failure


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The sampler's account of its work, with its own cost.

    :param missed: samples that were due while an earlier one was still being taken.
    :param cpu_s: user and system time, from its first instruction.
    """

    samples: int
    records: int
    missed: int
    cpu_s: float


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what it says."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """Every probe is at work, and the first sample is taken."""


class Stopped(Message, frozen=True, kw_only=True, tag="stopped"):
    """All records are written."""

    summary: Summary


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """It cannot go on."""

    failure: Failure


AnyMessage = Ready | Stopped | Failed
