"""The values that a sandbox returns."""

from __future__ import annotations

import msgspec

from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation
from testbed.topology.present import LinkState


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of some operations."""

    engine: dict[str, str]  # per added wire: "netem" or "emulator"
    seconds: float  # in the holder, including the verification


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of changes of a running network.

    :param operations: the operations that were or would be carried out.
    :param commands: the same operations as commands of iproute2.
    """

    operations: tuple[AnyOperation, ...]
    commands: tuple[str, ...]
    seconds: float  # in the holder, including the verification


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """The exit status of a process and the resources that it used (wait4(2))."""

    returncode: int  # -N if signal N killed the process
    cpu_user_s: float
    cpu_system_s: float
    max_rss_bytes: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a sandbox.

    :param topology: the topology that was built, without later changes.
    :param states: the states of changed links: ``down`` or ``blackhole``.
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
    """An optional feature of the kernel, as tested in a scratch namespace."""

    name: str
    present: bool
    detail: str  # the attempt and the kernel's answer
    why: str  # why it matters
    instead: str  # the effect of its absence, or a substitute
