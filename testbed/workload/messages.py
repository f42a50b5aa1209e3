"""The messages between a worker process and its parent: JSON, one object a line."""

from __future__ import annotations

import msgspec

from testbed.failure import Failure
from testbed.workload.session import Session
from testbed.workload.stacks.choice import End
from testbed.workload.stacks.model import Look
from testbed.workload.transfer import Report


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a worker, in its first line of input.

    :param role: client (dials ``address``) or server (listens on it).
    """

    role: str
    stack: End
    address: str
    port: int
    limit_ns: int
    sessions: tuple[Session, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """Base of what a worker is told afterwards."""


class Begin(Order, frozen=True, kw_only=True, tag="begin"):
    """The run starts at ``zero_ns`` of CLOCK_MONOTONIC."""

    zero_ns: int


class Met(Order, frozen=True, kw_only=True, tag="met"):
    """The other half of a session has come to the same point."""

    session: int


class Finish(Order, frozen=True, kw_only=True, tag="finish"):
    """End a flow that has no end of its own."""


AnyOrder = Begin | Met | Finish


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what a worker says."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The server listens, or the client could connect."""


class Doing(Message, frozen=True, kw_only=True, tag="doing"):
    """How far it is; the first comes when it starts."""

    started_ns: int
    now_ns: int
    octets: int
    samples: int


class Meeting(Message, frozen=True, kw_only=True, tag="meeting"):
    """A session waits for its other half; :class:`Met` says that it has come."""

    session: int


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """Its half is finished.

    :param looks: how its connections were, where no probe can see them.
    :param counters: what its stack has counted, where the kernel has not.
    :param cpu_s: user and system time since it was given the task.
    """

    reports: tuple[Report, ...]
    looks: tuple[Look, ...] = ()
    counters: dict[str, int] = {}
    cpu_s: float


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """Its half failed."""

    failure: Failure


AnyMessage = Ready | Doing | Meeting | Done | Failed
