"""The task of a capture in a node, and its messages."""

from __future__ import annotations

import sys
from typing import Final, Literal

import msgspec

from testbed.failure import Failure
from testbed.probe.capture.selection import Selection

MESSAGES_FD: Final = 3  # where it says what it does; packets go to its standard output


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a capture.

    :param interfaces: of its node; none: all of them but the loopback.
    :param count: end after so many packets.
    :param duration_s: end after so long.
    :param form: what is written: a pcapng capture, or a line of text for each packet.
    """

    interfaces: tuple[str, ...] = ()
    selection: Selection = Selection()
    count: int | None = None
    duration_s: float | None = None
    form: Literal["pcapng", "text"] = "pcapng"


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what it says."""


class Listening(Message, frozen=True, kw_only=True, tag="listening"):
    """From now on no packet is missed."""

    interfaces: tuple[str, ...]


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """Everything is written.

    :param dropped: packets that came faster than they were read.
    """

    captured: int
    dropped: int


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """It cannot go on."""

    failure: Failure


AnyMessage = Listening | Ended | Failed


def command(job: Job) -> tuple[str, ...]:
    """Return the command line of a capture; the end of its standard input ends it."""
    text = msgspec.json.encode(job).decode()
    return (sys.executable, "-m", "testbed.probe.capture.program", text)
