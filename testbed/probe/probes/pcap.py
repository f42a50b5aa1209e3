"""Packets, by one tcpdump(8) per interface."""

from __future__ import annotations

import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError, PlatformError, SandboxError
from testbed.probe.nodes import Nodes
from testbed.probe.probes import Probe
from testbed.records import PcapRecord, Record

START_S: Final = 10.0
STOP_S: Final = 10.0
POLL_S: Final = 0.01
_COUNTS: Final = re.compile(r"(\d+) packets? (captured|received by filter|dropped by kernel)")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one can choose.

    :param folder: where the files ``NODE-INTERFACE.pcap`` go.
    :param interfaces: which, per node; by default all but the loopbacks.
    :param snaplen: octets of each packet that are kept; the default holds every header of a TCP
        packet with the longest options.
    """

    folder: str
    interfaces: dict[str, tuple[str, ...]] | None = None
    snaplen: int = 160


class _Capture(msgspec.Struct, frozen=True):
    node: str
    interface: str
    file: str
    process: subprocess.Popen[bytes]


class Pcap(Probe):
    """Captures on interfaces of the nodes."""

    record = PcapRecord

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        super().__init__(nodes, {})
        try:
            self._options = msgspec.convert(options, Options)
        except msgspec.ValidationError as error:
            raise InputError(f"pcap: {error}") from error
        self._captures: list[_Capture] = []

    def start(self) -> tuple[Record, ...]:
        """Start every tcpdump, then wait until each captures."""
        _check_platform()
        for node in self.nodes.names:
            with self.nodes.inside(node):
                there = [name for _, name in socket.if_nameindex() if name != "lo"]
                wanted = self._options.interfaces
                names = there if wanted is None else wanted.get(node, ())
                self._captures += [self._launch(node, name) for name in names]
        for capture in self._captures:
            _said(capture, b"listening on", START_S)
        return ()

    def stop(self) -> Iterator[PcapRecord]:
        """End every tcpdump once it has written all it was given, and read its counts."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        for capture in self._captures:
            counts = _drained(capture)
            capture.process.send_signal(signal.SIGINT)
            try:
                said = capture.process.communicate(timeout=STOP_S)[1].decode(errors="replace")
            except subprocess.TimeoutExpired:
                capture.process.kill()
                raise SandboxError(f"{_name(capture)} did not end") from None
            if capture.process.returncode != 0:
                raise SandboxError(f"{_name(capture)} failed: {said.strip()}")
            counts |= _counts(said)
            yield PcapRecord(
                t_ns=time.monotonic_ns(),
                node=capture.node,
                interface=capture.interface,
                file=capture.file,
                realtime_offset_ns=offset_ns,
                captured=counts["captured"],
                dropped=counts["dropped by kernel"],
            )

    def _launch(self, node: str, interface: str) -> _Capture:
        file = f"{node}-{interface}.pcap"
        process = subprocess.Popen(
            [
                "tcpdump",
                *("-i", interface, "-w", str(Path(self._options.folder) / file)),
                *("-s", str(self._options.snaplen), "-U", "-n"),
                "--time-stamp-precision=nano",
                *("-Z", "root"),  # stay: there may be no other user in the sandbox
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        return _Capture(node, interface, file, process)


def _check_platform() -> None:
    if shutil.which("tcpdump") is None:
        raise PlatformError(
            "there is no tcpdump",
            why="the probe pcap runs it",
            instead="install it (Debian: apt install tcpdump), or leave the probe out",
        )
    if Path("/proc/self/setgroups").read_text().strip() == "deny":  # user_namespaces(7)
        raise PlatformError(
            "tcpdump cannot run in the sandbox of an ordinary user",
            why="as root it sets its groups, which is forbidden there",
            instead="run as root, or leave the probe pcap out",
        )


def _drained(capture: _Capture) -> dict[str, int]:
    """Wait until tcpdump has taken all that its filter let through, and return its counts.

    On SIGINT it would leave what still lies in the kernel's buffer, which is handed over once a
    second.  SIGUSR1 makes it tell its counts.
    """
    deadline = time.monotonic() + STOP_S
    while True:
        capture.process.send_signal(signal.SIGUSR1)
        counts = _counts(_said(capture, b"dropped by kernel", STOP_S))
        if counts["captured"] >= counts["received by filter"] - counts["dropped by kernel"]:
            return counts
        if time.monotonic() > deadline:
            raise SandboxError(f"{_name(capture)} did not write all packets: {counts}")
        time.sleep(POLL_S)


def _said(capture: _Capture, wanted: bytes, limit_s: float) -> str:
    """Return what tcpdump writes on its standard error up to something that is wanted."""
    assert capture.process.stderr is not None  # noqa: S101 - it was made a pipe
    said = b""
    deadline = time.monotonic() + limit_s
    while wanted not in said:
        left_s = max(0, deadline - time.monotonic())
        if not select.select([capture.process.stderr], [], [], left_s)[0]:
            raise SandboxError(f"{_name(capture)} did not answer within {limit_s:g} s")
        data = capture.process.stderr.read(4096)
        if not data:
            raise SandboxError(f"{_name(capture)} failed: {said.decode(errors='replace').strip()}")
        said += data
    return said.decode(errors="replace")


def _counts(said: str) -> dict[str, int]:
    """Read the counts of ``5 packets captured, 5 packets received by filter, 0 packets dropped``.

    With a line break instead of each comma when it ends.
    """
    return {word: int(count) for count, word in _COUNTS.findall(said)}


def _name(capture: _Capture) -> str:
    return f"tcpdump on {capture.interface} of {capture.node}"
