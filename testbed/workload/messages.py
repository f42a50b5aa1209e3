"""What a worker process and the one who started it say to each other: JSON, one object a line."""

from __future__ import annotations

import msgspec

from testbed.failure import Failure
from testbed.workload.kinds import Job
from testbed.workload.transfer import Report


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked, in its first line of input; any further one is a :class:`Meeting`.

    :param role: client (dials ``address``) or server (listens on it).
    """

    role: str
    stack: str
    address: str
    port: int
    limit_ns: int
    job: Job


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what a worker says."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The server listens."""


class Doing(Message, frozen=True, kw_only=True, tag="doing"):
    """How far it is; the first comes when it starts."""

    started_ns: int
    now_ns: int
    octets: int
    samples: int


class Meeting(Message, frozen=True, kw_only=True, tag="meeting"):
    """It waits for the other half; an empty line says that it has met it."""


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """Its half is finished.  ``cpu_s`` is user and system time since it was given the task."""

    report: Report
    cpu_s: float


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """Its half failed."""

    failure: Failure


AnyMessage = Ready | Doing | Meeting | Done | Failed
