"""The messages of the sampler on its standard output: one JSON object per line."""

from __future__ import annotations

import msgspec

from testbed.failure import Failure


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of the sampler, and its own CPU time.

    :param missed: how many samples were skipped because an earlier one took too long.
    :param cpu_s: user and system time of the process since its start.
    """

    samples: int
    records: int
    missed: int
    cpu_s: float


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base class of the messages."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """Every probe has started, and the first sample is taken."""


class Stopped(Message, frozen=True, kw_only=True, tag="stopped"):
    """All records are written."""

    summary: Summary


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The sampler has failed."""

    failure: Failure


AnyMessage = Ready | Stopped | Failed
