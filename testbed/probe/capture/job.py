"""The task of a capture in a node, and its messages."""

from __future__ import annotations

import sys
from typing import Final, Literal

import msgspec

from testbed.failure import Failure
from testbed.probe.capture.selection import Selection

MESSAGES_FD: Final = 3  # the descriptor for messages; packets go to standard output


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a capture.

    :param interfaces: interfaces of the node; if empty, all of them except the loopback.
    :param count: the number of packets after which to end.
    :param duration_s: the time after which to end.
    :param form: the output format: a pcapng capture, or a line of text for each packet.
    """

    interfaces: tuple[str, ...] = ()
    selection: Selection = Selection()
    count: int | None = None
    duration_s: float | None = None
    form: Literal["pcapng", "text"] = "pcapng"


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base class of the messages."""


class Listening(Message, frozen=True, kw_only=True, tag="listening"):
    """The capture has started on all interfaces."""

    interfaces: tuple[str, ...]


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """All packets are written.

    :param dropped: how many packets were lost because they were not read fast enough.
    """

    captured: int
    dropped: int


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The capture has failed."""

    failure: Failure


AnyMessage = Listening | Ended | Failed


def command(job: Job) -> tuple[str, ...]:
    """Return the command line of a capture. The end of its standard input ends it."""
    text = msgspec.json.encode(job).decode()
    return (sys.executable, "-m", "testbed.probe.capture.program", text)
