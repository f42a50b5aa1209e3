"""The messages between a worker process and its parent: JSON, one object per line."""

from __future__ import annotations

import msgspec

from testbed.failure import Failure
from testbed.workload.session import Session
from testbed.workload.stacks.choice import End
from testbed.workload.stacks.model import Look
from testbed.workload.transfer import Report


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a worker, which is the first line of its input.

    :param role: client (connects to ``address``) or server (listens on it).
    """

    role: str
    stack: End
    address: str
    port: int
    limit_ns: int
    sessions: tuple[Session, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """The base of the orders that follow the task."""


class Begin(Order, frozen=True, kw_only=True, tag="begin"):
    """The run starts at ``zero_ns`` of CLOCK_MONOTONIC."""

    zero_ns: int


class Met(Order, frozen=True, kw_only=True, tag="met"):
    """The other half of a session has reached the same point."""

    session: int


class Finish(Order, frozen=True, kw_only=True, tag="finish"):
    """End a flow that has no end of its own."""


AnyOrder = Begin | Met | Finish


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """The base of the messages that a worker writes."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The server listens, or the client is ready to connect."""


class Doing(Message, frozen=True, kw_only=True, tag="doing"):
    """The progress of a half. The first message is written when the half starts."""

    started_ns: int
    now_ns: int
    octets: int
    samples: int


class Meeting(Message, frozen=True, kw_only=True, tag="meeting"):
    """A session waits for its other half. :class:`Met` is the answer."""

    session: int


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """The half has finished.

    :param looks: the observed states of its connections, if no probe can see them.
    :param counters: the counters of its stack, unless it is the kernel's.
    :param cpu_s: user and system time since the worker received the task.
    """

    reports: tuple[Report, ...]
    looks: tuple[Look, ...] = ()
    counters: dict[str, int] = {}
    cpu_s: float


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The half has failed."""

    failure: Failure


AnyMessage = Ready | Doing | Meeting | Done | Failed
