"""The reader of minitopo's files: a topology of paths, and an optional experiment.

A file has lines ``key:value``. ``path_c2r_0:10,20,4`` is a path from the client to the router with
10 ms one-way delay, a queue of 20 packets and 4 Mbit/s; ``path_0`` means the same in older files,
and ``path_r2s_0`` is a path from the router to the server. minitopo shapes a path by tbf and delays
it by netem. The buffer of tbf is a bandwidth-delay product plus the queue.

Source: minitopo, core/topo.py and topos/multi_interface.py
(https://github.com/qdeconinck/minitopo).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from testbed import document
from testbed.document import Data
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.interchange.imports import Imported, Note
from testbed.units import format_percent, format_rate, format_time
from testbed.wire.netem import Netem

FORMAT: Final = "minitopo"
MTU: Final = 1500  # octets, in minitopo's arithmetic
_PATH: Final = re.compile(r"path_(?:(c2r|r2s)_)?(\d+)")
_NETEM_AT: Final = re.compile(r"netemAt_(?:(c2r|r2s)_)?(\d+)")
_LEFT, _RIGHT = "leftSubnet", "rightSubnet"
_TOPOLOGY_KEYS: Final = ("desc", "topoType", _LEFT, _RIGHT, "changeNetem")
_TRANSFERS: Final = ("nc", "ncpv", "http", "https", "sendfile")
_SYSCTLS: Final = {
    "rmem": "net.ipv4.tcp_rmem",
    "wmem": "net.ipv4.tcp_wmem",
    "autocork": "net.ipv4.tcp_autocorking",
    "earlyRetrans": "net.ipv4.tcp_early_retrans",
    "bufferAutotuning": "net.ipv4.tcp_moderate_rcvbuf",
}


class _Line(msgspec.Struct, frozen=True):
    key: str
    value: str
    number: int


class _Path(msgspec.Struct, frozen=True, kw_only=True):
    """One path of a minitopo file."""

    side: str  # c2r or r2s
    number: int
    delay_ms: float
    queue: int  # packets
    rate_mbit: float
    loss_percent: float
    backup: bool

    @property
    def link(self) -> str:
        """The name of our link."""
        return f"path{self.number}" if self.side == "c2r" else f"server{self.number}"

    def netem(self) -> dict[str, Data]:
        """Return our shaping options for both directions."""
        options: dict[str, Data] = {
            "rate": format_rate(round(self.rate_mbit * 1e6)),
            "delay": format_time(round(self.delay_ms * 1e6)),
            "limit": f"{self._buffer_octets()}b",
        }
        if self.loss_percent:
            options["loss"] = format_percent(self.loss_percent / 100)
        return options

    def _buffer_octets(self) -> int:
        """Return minitopo's limit for tbf: a bandwidth-delay product plus the queue."""
        queueing_ms = max(int(self.queue * MTU * 8 * 1000 / (self.rate_mbit * 1024 * 1024)), 1)
        product = MTU * bandwidth_delay_packets(self.delay_ms, self.rate_mbit)
        return round(product + self.rate_mbit * 1000 * queueing_ms / 8)


def bandwidth_delay_packets(delay_ms: float, rate_mbit: float) -> int:
    """Return the number of packets of 1500 octets in one bandwidth-delay product of a path."""
    return math.ceil(rate_mbit * 125_000 * 2 * delay_ms / 1000 / MTU)


def read(topology: Path, experiment: Path | None = None) -> Imported:
    """Read a topology file, and its experiment file if one is given.

    :raises InputError: a file or a line cannot be read; the error names file and line.
    """
    notes: list[Note] = []
    lines = _lines(topology)
    values = {line.key: line for line in lines}
    kind = values.get("topoType")
    if kind is not None and kind.value != "MultiIf":
        raise InputError(
            f"topoType {kind.value!r} has no counterpart",
            file=topology,
            line=kind.number,
            hint="only MultiIf has one: a client, a router and a server",
        )
    paths = list(_paths(topology, lines))
    if not any(path.side == "c2r" for path in paths):
        raise InputError("it has no path", file=topology, hint="write path_c2r_0:10,20,4")
    events = list(_events(topology, lines, paths, notes))
    network = _network(values, paths)
    if experiment is None:
        if events:
            what = "changes over time belong to an experiment: give minitopo's experiment file, too"
            notes.append(Note("netemAt", what))
        data = network
    else:
        data = _experiment(experiment, network, events, notes)
    return Imported(origin=topology.name, format=FORMAT, data=data, notes=tuple(notes))


def _lines(path: Path) -> list[_Line]:
    found = []
    for number, line in enumerate(document.read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.strip().partition(":")
        if not colon:
            raise InputError(f"{line.strip()!r} is not KEY:VALUE", file=path, line=number)
        found.append(_Line(key, value, number))
    return found


def _paths(file: Path, lines: list[_Line]) -> Iterator[_Path]:
    for line in lines:
        match = _PATH.fullmatch(line.key)
        if match is None:
            if line.key not in _TOPOLOGY_KEYS and not _NETEM_AT.fullmatch(line.key):
                hint = nearest(line.key, (*_TOPOLOGY_KEYS, "path_c2r_0", "netemAt_c2r_0"))
                raise InputError(
                    f"unknown key {line.key!r}", file=file, line=line.number, hint=hint
                )
            continue
        try:
            yield _path(match[1] or "c2r", int(match[2]), line.value)
        except ValueError as error:
            hint = "write delay,queue,rate or delay,rate: milliseconds, packets, Mbit/s"
            raise InputError(
                f"{line.value!r} is not a path: {error}", file=file, line=line.number, hint=hint
            ) from None


def _path(side: str, number: int, value: str) -> _Path:
    """Read ``delay,rate`` or ``delay,queue,rate[,loss[,backup]]``."""
    fields = value.split(",")
    if not 2 <= len(fields) <= 5:
        raise ValueError(f"it has {len(fields)} numbers")
    delay = float(fields[0])
    rate = float(fields[-1] if len(fields) == 2 else fields[2])
    loss = float(fields[3]) if len(fields) > 3 else 0.0
    if not (math.isfinite(delay) and math.isfinite(rate) and delay >= 0 and rate > 0):
        raise ValueError("the rate must be more than 0, the delay not negative")
    if not 0 <= loss <= 100:
        raise ValueError("the loss is not between 0 and 100")
    queue = int(fields[1]) if len(fields) > 2 else bandwidth_delay_packets(delay, rate)
    return _Path(
        side=side,
        number=number,
        delay_ms=delay,
        queue=queue,
        rate_mbit=rate,
        loss_percent=loss,
        backup=len(fields) == 5 and int(fields[4]) > 0,
    )


def _network(values: Mapping[str, _Line], paths: list[_Path]) -> dict[str, Data]:
    left = values[_LEFT].value if _LEFT in values else "10.1."
    right = values[_RIGHT].value if _RIGHT in values else "10.2."
    links: dict[str, Data] = {}
    to_server = [path for path in paths if path.side == "r2s"]
    for path in paths:
        subnet, ends = (left, ("client", "router")) if path.side == "c2r" else (right, _SERVER)
        end = _end(subnet, path.number, 1)
        if path.backup and path.side == "c2r":
            end["endpoint"] = ["subflow", "backup"]
        between: dict[str, Data] = {ends[0]: end, ends[1]: _end(subnet, path.number, 2)}
        links[path.link] = {"between": between, "netem": path.netem()}
    if not to_server:
        cable: dict[str, Data] = {"server": _end(right, 0, 1), "router": _end(right, 0, 2)}
        links["server0"] = {"between": cable}
    data: dict[str, Data] = {
        "nodes": {"client": {}, "router": {"kind": "router"}, "server": {}},
        "links": links,
    }
    description = values.get("desc")
    return ({"description": description.value} if description else {}) | data


_SERVER: Final = ("server", "router")


def _end(subnet: str, number: int, host: int) -> dict[str, Data]:
    return {"addresses": [f"{subnet}{number}.{host}/24"]}


def _events(
    file: Path, lines: list[_Line], paths: list[_Path], notes: list[Note]
) -> Iterator[dict[str, Data]]:
    if not any(line.key == "changeNetem" and line.value == "yes" for line in lines):
        return
    there = {(path.side, path.number): path for path in paths}
    for line in lines:
        match = _NETEM_AT.fullmatch(line.key)
        if match is None:
            continue
        at, comma, text = line.value.partition(",")
        path = there.get((match[1] or "c2r", int(match[2])))
        if not comma or path is None:
            why = "there is no such path" if comma else f"{line.value!r} is not TIME,NETEM"
            raise InputError(why, file=file, line=line.number)
        try:
            options = Netem.parse(text).options()
            moment = format_time(round(float(at) * 1e9))
        except (InputError, ValueError) as error:
            raise InputError(f"{line.value!r}: {error}", file=file, line=line.number) from None
        if "delay" not in options:
            what = "keeps its delay here; in minitopo tc resets a delay that is not repeated"
            notes.append(Note(f"{path.link} at {moment}", what))
        yield {"at": moment, "link": path.link, "set": dict(options)}


def _experiment(
    file: Path, network: dict[str, Data], events: list[dict[str, Data]], notes: list[Note]
) -> dict[str, Data]:
    values = {line.key: line for line in _lines(file)}
    kind = values.pop("xpType", None)
    name = "none" if kind is None else kind.value
    data: dict[str, Data] = {
        "topology": network | _sysctls(values),
        "stacks": ["tcp", "mptcp"],
        "workload": _workload(file, name, values),
    }
    if values.keys() & {"clientPcap", "serverPcap"}:
        recorded = [values.pop(key).value for key in ("clientPcap", "serverPcap") if key in values]
        data["pcap"] = "yes" in recorded
    if events:
        data["events"] = list(events)
    what = "has no counterpart; `testbed stacks` lists the options that a stack has"
    notes.extend(Note(f"{file.name}:{line.number}: {key}", what) for key, line in values.items())
    return data


def _sysctls(values: dict[str, _Line]) -> dict[str, Data]:
    found: dict[str, Data] = {
        name: values.pop(key).value for key, name in _SYSCTLS.items() if key in values
    }
    return {"sysctls": found} if found else {}


def _workload(file: Path, name: str, values: dict[str, _Line]) -> dict[str, Data]:
    """Return the workload that replaces the programs of minitopo's experiment."""
    ends: dict[str, Data] = {"from": "client", "to": "server"}
    if name == "iperf":
        seconds = values.pop("iperfTime", None)
        parallel = values.pop("iperfParallel", None)
        more: dict[str, Data] = {"parallel": int(parallel.value)} if parallel else {}
        duration = f"{seconds.value if seconds else 10}s"
        return {"kind": "iperf3", **ends, "duration": duration, **more}
    if name in _TRANSFERS:
        values.pop("file", None)
        size = values.pop("file_size", None)
        direction: dict[str, Data] = {} if name == "sendfile" else {"direction": "reverse"}
        return {"kind": "bulk", **ends, "size": f"{size.value if size else 1024}KB", **direction}
    raise InputError(
        f"xpType {name!r} has no counterpart",
        file=file,
        hint=f"{', '.join(_TRANSFERS)} and iperf have; without the file the topology is imported",
    )
