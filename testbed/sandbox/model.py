"""Values a sandbox answers with."""

from __future__ import annotations

import msgspec

from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation
from testbed.topology.present import LinkState


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of some operations."""

    engine: dict[str, str]  # of each wire added: "netem" or "emulator"
    seconds: float  # in the holder, reading back included


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of changes of a running network.

    :param operations: what was done, or would be.
    :param commands: the same as commands of iproute2.
    """

    operations: tuple[AnyOperation, ...]
    commands: tuple[str, ...]
    seconds: float  # in the holder, reading back included


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, and what it used (wait4(2))."""

    returncode: int  # negative: the signal that killed it
    cpu_user_s: float
    cpu_system_s: float
    max_rss_bytes: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a sandbox.

    :param topology: what was built in it, before anything changed it.
    :param states: of the links that were taken down or made blackholes: ``down``, ``blackhole``.
    """

    name: str
    topology: Topology | None
    states: dict[str, LinkState]
    namespaces: tuple[str, ...]
    engine: dict[str, str]
    background: bool
    fault: str | None
    started_at: float  # seconds since the epoch
    processes: dict[int, tuple[str, ...]]  # pid in the sandbox -> argv


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """Something a kernel may or may not be able to do, as tried out in a scratch namespace."""

    name: str
    present: bool
    detail: str  # what was tried, and the kernel's answer
    why: str  # why it matters
    instead: str  # what happens or can be done without it
