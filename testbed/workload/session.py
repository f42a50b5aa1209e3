"""A session: one client half and one server half of a kind, which begin at a given time."""

from __future__ import annotations

import msgspec

from testbed.workload.kinds import Job


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The common task of two halves.

    :param at_ns: the time at which the client begins, from the start of the run.
    """

    at_ns: int
    job: Job
