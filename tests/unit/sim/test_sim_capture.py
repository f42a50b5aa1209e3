"""Captures, as an independent reader sees them."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.packet.mptcp import MpCapable
from testbed.packet.options import MaximumSegmentSize, Timestamps
from testbed.packet.segment import ACK, SYN

LINE = {
    "nodes": {"client": {}, "router": {"kind": "router"}, "server": {}},
    "links": {
        "near": {"between": ["client", "router"], "netem": {"delay": "1ms"}},
        "far": {"between": ["router", "server"], "mtu": 1300},
    },
}


def captured(laboratory: Any, path: Path, *, ipv6: bool = False) -> None:
    lab = laboratory(LINE)
    client = lab.address("client", "near", ipv6=ipv6)
    server = lab.address("server", "far", ipv6=ipv6)
    [interface] = lab.topology.node("client").interfaces
    capture = lab.network.capture("client", interface.name, path)
    syn = {"flags": SYN, "options": (MaximumSegmentSize(1460), MpCapable(sender_key=7))}
    lab.send("client", lab.segment(client, server, **syn))
    lab.send("client", lab.segment(client, server, options=(Timestamps(1, 2),), payload=b"data"))
    lab.send("client", lab.segment(client, server, payload=bytes(1400)))
    lab.send("server", lab.segment(server, client, flags=SYN | ACK, seq=9))
    lab.run()
    capture.close()


def test_equal_runs_give_equal_files(laboratory: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        captured(laboratory, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_blocks_are_whole_and_times_are_nanoseconds(laboratory: Any, tmp_path: Path) -> None:
    captured(laboratory, tmp_path / "file")
    octets = (tmp_path / "file").read_bytes()
    kinds, times, at = [], [], 0
    while at < len(octets):
        kind, length = struct.unpack_from("=II", octets, at)
        assert length % 4 == 0
        assert struct.unpack_from("=I", octets, at + length - 4) == (length,)
        kinds.append(kind)
        if kind == 6:
            _, high, low = struct.unpack_from("=III", octets, at + 8)
            times.append(high << 32 | low)
        at += length
    assert kinds == [0x0A0D0D0A, 1, 6, 6, 6, 6, 6]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] >= 1_000_000


@pytest.mark.parametrize("ipv6", [False, True])
def test_tshark_reads_them(laboratory: Any, tmp_path: Path, ipv6: bool) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark, to have a second opinion on captures")
    path = tmp_path / "file.pcapng"
    captured(laboratory, path, ipv6=ipv6)
    command = ["tshark", "-n", "-r", str(path), "-T", "json", "-o", "tcp.check_checksum:TRUE"]
    read = subprocess.run(command, capture_output=True, check=True, text=True)
    packets = [each["_source"]["layers"] for each in json.loads(read.stdout)]
    protocols = [packet["frame"]["frame.protocols"].split(":")[3:] for packet in packets]
    assert [each[0] for each in protocols] == ["tcp"] * 4 + ["icmpv6" if ipv6 else "icmp"]
    for packet in packets:
        if "tcp" in packet:
            assert packet["tcp"]["tcp.checksum.status"] == "1"
    assert "Malformed" not in read.stdout
