"""The connections of a program over our stack: a file of JSON, one object a line."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from testbed.records import NstatRecord, Record
from testbed.workload.halves import look_records
from testbed.workload.stacks.model import Look, Scalar


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of the lines."""


class Begun(Line, frozen=True, kw_only=True, tag="begun"):
    """The program starts, at a moment of CLOCK_MONOTONIC."""

    t_ns: int


class Ended(Line, frozen=True, kw_only=True, tag="ended"):
    """The program has ended; its connections may be there still."""

    t_ns: int


class Looked(Line, frozen=True, kw_only=True, tag="looked"):
    """How a connection was at some moment."""

    look: Look


class Closing(Line, frozen=True, kw_only=True, tag="closing"):
    """How a connection was when the program closed it, or when it failed.

    :param used: the options it had.
    """

    look: Look
    used: dict[str, Scalar] = {}


class Counted(Line, frozen=True, kw_only=True, tag="counted"):
    """The MIB counters of the stack when the last connection had ended, at a moment."""

    t_ns: int
    values: dict[str, int]


AnyLine = Begun | Ended | Looked | Closing | Counted


class ProgramReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report.

    :param begun_ns: when the program started, ``None`` if it never did; ``ended_ns`` likewise.
    :param looks: at all connections.
    :param ends: how each connection was at its end.
    :param counted: the counters of the stack in the end, ``None`` if it did not come so far.
    """

    begun_ns: int | None = None
    ended_ns: int | None = None
    looks: tuple[Look, ...] = ()
    ends: tuple[Closing, ...] = ()
    counted: Counted | None = None


def read(path: Path) -> ProgramReport:
    """Return a report as far as it was written; the last line may be cut off."""
    lines: list[AnyLine] = []
    if path.exists():
        whole = path.read_bytes().split(b"\n")[:-1]
        lines = [msgspec.json.decode(line, type=AnyLine) for line in whole]
    return ProgramReport(
        begun_ns=next((line.t_ns for line in lines if isinstance(line, Begun)), None),
        ended_ns=next((line.t_ns for line in lines if isinstance(line, Ended)), None),
        looks=tuple(line.look for line in lines if isinstance(line, Looked)),
        ends=tuple(line for line in lines if isinstance(line, Closing)),
        counted=next((line for line in lines if isinstance(line, Counted)), None),
    )


class ReportFolder(contextlib.AbstractContextManager["ReportFolder"]):
    """The reports of a flow's programs, in a folder of their own for as long as they are needed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="testbed-reports-")
        self._nodes: list[str] = []

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def further(self, node: str) -> Path:
        """Return the file of a further program, which runs on a node."""
        self._nodes.append(node)
        return self._file(len(self._nodes) - 1)

    def read(self) -> tuple[ProgramReport, ...]:
        """Return the reports in order; one that was not written is empty."""
        return tuple(read(self._file(number)) for number in range(len(self._nodes)))

    def records(self) -> Iterator[Record]:
        """Yield looks at connections and counters as records of probes."""
        for node, report in zip(self._nodes, self.read(), strict=True):
            for look in report.looks:
                yield from look_records(node, look)
            if report.counted is not None and report.counted.values:
                t_ns, values = report.counted.t_ns, report.counted.values
                yield NstatRecord(t_ns=t_ns, node=node, span="total", values=values, own=True)

    def details(self, ends: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the connections of each end, as :class:`testbed.records.End` has them.

        :param ends: the node of each; one without connections is left out.
        """
        found: dict[str, dict[str, Any]] = {}
        for end, node in ends.items():
            seen = [
                {"view": msgspec.to_builtins(closing.look.view), "used": dict(closing.used)}
                for there, report in zip(self._nodes, self.read(), strict=True)
                if there == node
                for closing in report.ends
            ]
            if seen:
                found[end] = {"node": node, **seen[0], "further": seen[1:]}
        return found

    def _file(self, number: int) -> Path:
        return Path(self._folder.name) / f"{number}.jsonl"
