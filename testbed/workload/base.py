"""The YAML keys that all kinds of workloads share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from testbed.document import Open
from testbed.topology.model import Family
from testbed.workload.kinds import KINDS, TAG
from testbed.workload.metrics import COMMON
from testbed.workload.session import Session
from testbed.workload.sizes import Quantity, positive_time

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Workload(Open):
    """The field type for a workload of any kind. Its values are :class:`WorkloadSpec` objects."""

    __slots__ = ()

    tag: ClassVar[str] = TAG
    # See WorkloadSpec.
    source: str
    target: str
    family: Family
    via: str | None
    port: Port | None
    stack: str | dict[str, Any] | None
    start: Quantity
    stop: Quantity | None
    background: bool

    @classmethod
    def struct(cls, name: str) -> type[Any]:
        """Return the spec of a kind.  Raises InputError."""
        return KINDS.find(name).spec

    @classmethod
    def stranger(cls) -> type[Any]:
        """Return the spec that represents kinds of packages that are not installed."""
        return StrangerSpec

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return str(self.__struct_config__.tag)  # type: ignore[attr-defined]

    @property
    def gives(self) -> tuple[str, ...]:
        """The metrics that runs can report, the main metric first."""
        return KINDS.take(self.kind).gives

    @property
    def usual_port(self) -> int:
        """The default port, used if no other flow has it."""
        return 5001

    @property
    def start_ns(self) -> int:
        """``start`` in nanoseconds."""
        return positive_time("start", self.start, zero=True)

    @property
    def stop_ns(self) -> int | None:
        """``stop`` in nanoseconds."""
        return None if self.stop is None else positive_time("stop", self.stop)

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
        return self.start_ns

    @property
    def end_ns(self) -> int | None:
        """The end time, from the start of the run, or ``None`` if it depends on the network."""
        return None

    @property
    def brief(self) -> bool:
        """Whether the connections may end before they have a second subflow."""
        return False

    @property
    def endless(self) -> bool:
        """Whether the workload runs until all other flows have ended."""
        return False

    def check_times(self) -> None:
        """Check ``start`` and ``stop``. The ``__post_init__`` of every kind calls this.

        :raises ValueError: ``start`` or ``stop`` is no time, or ``stop`` is not after ``start``.
        """
        if self.stop_ns is not None and self.stop_ns <= self.start_ns:
            raise ValueError("`stop` must come after `start`")


class WorkloadSpec(
    Workload,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field=TAG,
    rename={"source": "from", "target": "to"},
):
    """The ends of a flow. ``source`` connects, and ``target`` listens.

    ``files`` maps each key that names a file to the function that reads the file to check it. The
    loader of an experiment makes the names absolute.

    :param via: the link on which the target has the address to connect to; by default the first.
    :param port: the port on which the target listens; by default 5001 (iperf3: 5201), or the next
        port that no other flow has.
    :param stack: the stack of this flow, written as in ``stacks``, if it is a rival of the stack
        under test.
    :param start: the time at which the flow begins, from the start of the run.
    :param stop: the latest time at which the flow ends, from the start of the run.
    :param background: whether the flow must work but is not the subject of the run.
    """

    files: ClassVar[Mapping[str, Callable[[Path], object]]] = {}

    source: str
    target: str
    family: Family = Family.IPV4
    via: str | None = None
    port: Port | None = None
    stack: str | dict[str, Any] | None = None
    start: Quantity = 0
    stop: Quantity | None = None
    background: bool = False


class PairedSpec(WorkloadSpec, frozen=True, kw_only=True):
    """A workload with two halves, which run on any stack, in a sandbox and in a simulation."""

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the sessions of the two halves. Equal seeds give equal sessions."""
        raise NotImplementedError


class StrangerSpec(WorkloadSpec, frozen=True, kw_only=True, tag=False, forbid_unknown_fields=False):
    """A workload of a result folder whose kind belongs to a package that is not installed."""

    kind: str

    @property
    def gives(self) -> tuple[str, ...]:
        """The metrics of every kind with two halves. The missing package may define more."""
        return COMMON
