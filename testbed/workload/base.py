"""The keys that workloads of every kind have in YAML."""

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
    """A workload of any kind, as the type of a field: what is in it is a :class:`WorkloadSpec`."""

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
        """Return what stands for the kinds of packages that are not here."""
        return StrangerSpec

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return str(self.__struct_config__.tag)  # type: ignore[attr-defined]

    @property
    def gives(self) -> tuple[str, ...]:
        """The metrics that its runs can give, what it is mostly run for first."""
        return KINDS.take(self.kind).gives

    @property
    def usual_port(self) -> int:
        """The port it has if none is given and it is free."""
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
        """The time from the start of the run before which it cannot be over."""
        return self.start_ns

    @property
    def end_ns(self) -> int | None:
        """When it ends, from the start of the run, where that does not depend on the network."""
        return None

    @property
    def brief(self) -> bool:
        """Whether its connections may end before they have a second subflow."""
        return False

    @property
    def endless(self) -> bool:
        """Whether it goes on until the other flows are over."""
        return False

    def check_times(self) -> None:
        """Check ``start`` and ``stop``, as the ``__post_init__`` of every kind does.

        :raises ValueError: one is no time, or they are in the wrong order.
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
    """The ends of a flow.  ``source`` connects, ``target`` listens.

    ``files`` of a kind are its keys that name files, each with the function that reads one to check
    it.  An experiment's loader makes the names absolute.

    :param via: the link whose address of the target is dialled; by default the first.
    :param port: where the target listens; by default 5001 (iperf3: 5201), or the next port that no
        other flow has.
    :param stack: the stack of this flow, where it is not the one under test, written as in
        ``stacks``: a rival.
    :param start: when it begins, from the start of the run.
    :param stop: when it is to end at the latest, likewise.
    :param background: it must work, but it is not what the run is about.
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
        """Return the sessions of the two halves; equal seeds give equal ones."""
        raise NotImplementedError


class StrangerSpec(WorkloadSpec, frozen=True, kw_only=True, tag=False, forbid_unknown_fields=False):
    """A workload of a result folder whose kind is of a package that is not here."""

    kind: str

    @property
    def gives(self) -> tuple[str, ...]:
        """The metrics of every kind with two halves; its package would know more."""
        return COMMON
