"""Reports on the connections of a program over our stack: JSON files, one object per line."""

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
    """The base of the lines."""


class Begun(Line, frozen=True, kw_only=True, tag="begun"):
    """The program starts, at a time of CLOCK_MONOTONIC."""

    t_ns: int


class Ended(Line, frozen=True, kw_only=True, tag="ended"):
    """The program has ended. Its connections may still exist."""

    t_ns: int


class Looked(Line, frozen=True, kw_only=True, tag="looked"):
    """The state of a connection at some time."""

    look: Look


class Closing(Line, frozen=True, kw_only=True, tag="closing"):
    """The state of a connection when the program closed it, or when it failed.

    :param used: the options of the connection.
    """

    look: Look
    used: dict[str, Scalar] = {}


class Counted(Line, frozen=True, kw_only=True, tag="counted"):
    """The MIB counters of the stack after the last connection has ended."""

    t_ns: int
    values: dict[str, int]


AnyLine = Begun | Ended | Looked | Closing | Counted


class ProgramReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report.

    :param begun_ns: the start of the program, or ``None`` if it never started.
    :param looks: the looks at all connections.
    :param ends: the state of each connection at its end.
    :param counted: the final counters of the stack, or ``None`` if the report ends before.
    """

    begun_ns: int | None = None
    ended_ns: int | None = None
    looks: tuple[Look, ...] = ()
    ends: tuple[Closing, ...] = ()
    counted: Counted | None = None


def read(path: Path) -> ProgramReport:
    """Read a report, which may be incomplete. The last line may be cut off."""
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
    """A temporary folder with the reports of a flow's programs."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="testbed-reports-")
        self._nodes: list[str] = []

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def further(self, node: str) -> Path:
        """Return the file for another program, which runs on a node."""
        self._nodes.append(node)
        return self._file(len(self._nodes) - 1)

    def read(self) -> tuple[ProgramReport, ...]:
        """Return the reports in order. A missing report is empty."""
        return tuple(read(self._file(number)) for number in range(len(self._nodes)))

    def records(self) -> Iterator[Record]:
        """Yield the looks at connections and the counters as records of probes."""
        for node, report in zip(self._nodes, self.read(), strict=True):
            for look in report.looks:
                yield from look_records(node, look)
            if report.counted is not None and report.counted.values:
                t_ns, values = report.counted.t_ns, report.counted.values
                yield NstatRecord(t_ns=t_ns, node=node, span="total", values=values, own=True)

    def details(self, ends: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the connections of each end, in the format of :class:`testbed.records.End`.

        :param ends: the node of each end. The result has no ends without connections.
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
