"""Packets and looks of a running sandbox, as a user has them."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parent.parent.parent
TESTBED = [sys.executable, "-m", "testbed"]
FILE = """
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: {rate: 20mbit}}
  lte: {between: [client, server]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("lab") / "lab.yaml"
    file.write_text(FILE)
    name = f"capture-{secrets.token_hex(3)}"
    subprocess.run([*TESTBED, "up", str(file), "--name", name], check=True, cwd=PROJECT)
    try:
        yield name
    finally:
        subprocess.run([*TESTBED, "down", name], check=True, cwd=PROJECT)


def ping(lab: str, count: int) -> None:
    """Exchange so many pairs of packets, one after the other."""
    command = [*TESTBED, "exec", lab, "client", "--", sys.executable, "-c", PING, str(count)]
    subprocess.run(command, check=True, cwd=PROJECT)


def started(lab: str, *words: str, **streams: int) -> subprocess.Popen[bytes]:
    """Start a capture, and return it once no packet is missed."""
    process = subprocess.Popen(
        [*TESTBED, "capture", lab, *words], cwd=PROJECT, stderr=subprocess.PIPE, **streams
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(b"capturing on "), line
    return process


def blocks(octets: bytes) -> list[tuple[int, bytes]]:
    """Return type and body of each block of a pcapng file."""
    found, at = [], 0
    while at < len(octets):
        kind, length = struct.unpack_from("=II", octets, at)
        assert struct.unpack_from("=I", octets, at + length - 4) == (length,)
        found.append((kind, octets[at + 8 : at + length - 4]))
        at += length
    return found


def test_a_capture_is_whole_when_it_is_interrupted(lab: str, tmp_path: Path) -> None:
    """Ctrl-C comes right after the last packet: what the kernel still holds is written."""
    path = tmp_path / "client.pcapng"
    with started(lab, "client", "-w", str(path), "--host", "10.0.1.2") as process:
        ping(lab, 20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert said == b"40 packets captured, 0 dropped\n"
    found = blocks(path.read_bytes())
    assert [kind for kind, _ in found[:3]] == [0x0A0D0D0A, 1, 1]
    packets = [body for kind, body in found if kind == 6]
    assert len(packets) == 40
    directions = [struct.unpack("=I", body[-8:-4])[0] for body in packets]
    assert directions == [2, 1] * 20  # each request went out, and its answer came in
    if shutil.which("tshark"):
        fields = ["tshark", "-r", str(path), "-T", "fields", "-e", "icmp.type"]
        seen = subprocess.run(fields, check=True, capture_output=True, text=True)
        assert seen.stdout.split() == ["8", "0"] * 20


def test_the_one_who_reads_ends_it(lab: str) -> None:
    with started(lab, "client.wifi", "-w", "-", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(4) == b"\x0a\x0d\x0d\x0a"
        process.stdout.close()
        ping(lab, 2)
        assert process.wait(30) == 0
        assert process.stderr.read().endswith(b" 0 dropped\n")


def test_text_spells_packets_out_and_ends_by_count(lab: str) -> None:
    with started(lab, "client.wifi", "--count", "2", stdout=subprocess.PIPE) as process:
        ping(lab, 3)
        said, _ = process.communicate(timeout=30)
    lines = said.decode().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(" wifi out IPv4 ICMP 10.0.1.1 > 10.0.1.2, 42 octets")
    assert lines[1].endswith(" wifi in IPv4 ICMP 10.0.1.2 > 10.0.1.1, 42 octets")


def test_a_full_disk_is_said(lab: str) -> None:
    with started(lab, "client.wifi", "-w", "/dev/full", "--duration", "20s") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == b"testbed: cannot write the packets: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("client.eth7",), 1, "cannot capture on eth7: no interface with this name"),
        (("clint.wifi",), 2, "there is no node 'clint'; did you mean 'client'?"),
        (("client", "--host", "x"), 2, "'x' is not an address; write for example 10.0.1.1"),
        (("client", "-w", "/no/such/file"), 2, "/no/such/file cannot be written"),
        (("client", "--json"), 2, "--json needs a file"),
    ],
)
def test_what_cannot_be_captured_is_said(
    lab: str, words: tuple[str, ...], code: int, message: str
) -> None:
    command = [*TESTBED, "capture", lab, *words]
    done = subprocess.run(command, capture_output=True, cwd=PROJECT, check=False, text=True)
    assert done.returncode == code
    assert done.stderr.startswith(f"testbed: {message}")
    assert done.stderr.count("\n") == 1


def first_line(lab: str, wanted: Callable[[str], bool], *options: str) -> str:
    """Watch until a line of the output is wanted: a look of a slow machine may come too early."""
    command = [*TESTBED, "watch", lab, "--interval", "300ms", *options]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            return next(line for line in watching.stdout if wanted(line))
        finally:
            watching.terminate()


def sends(line: str) -> bool:
    flows = [flow for flow in json.loads(line)["flows"] if flow["node"] == "client"]
    return sum(flow["sent"] for flow in flows) > 1e5


def test_a_look_shows_wires_and_subflows(lab: str) -> None:
    server = subprocess.Popen(
        [*TESTBED, "exec", lab, "server", "--", sys.executable, "-c", SERVER],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"listening\n"
    client = subprocess.Popen(
        [*TESTBED, "exec", lab, "client", "--", sys.executable, "-c", CLIENT],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"sending\n"
        look = json.loads(first_line(lab, sends, "--json"))
        assert {(wire["link"], wire["toward"]) for wire in look["wires"]} == {
            ("wifi", "client"),
            ("wifi", "server"),
        }
        flows = [flow for flow in look["flows"] if flow["node"] == "client"]
        assert "10.0.1.2:5001" in {flow["remote"] for flow in flows}
        assert {flow["protocol"] for flow in flows} == {"mptcp"}
        assert "client" in first_line(lab, lambda line: "10.0.1.2:5001" in line)
        command = [*TESTBED, "watch", lab, "--once", "--json"]
        once = subprocess.run(command, capture_output=True, cwd=PROJECT, check=True, timeout=60)
        assert [wire["link"] for wire in json.loads(once.stdout)["wires"]] == ["wifi", "wifi"]
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()


PING = """
import socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
    sock.settimeout(20)
    sock.connect(("10.0.1.2", 0))
    for number in range(int(sys.argv[1])):
        sock.send(struct.pack("!BBHHH", 8, 0, 0xF7FF - number, 0, number))
        sock.recv(100)
"""
SERVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as listener:
    listener.bind(("0.0.0.0", 5001))
    listener.listen()
    print("listening", flush=True)
    connection, _ = listener.accept()
    while connection.recv(1 << 16):
        pass
"""
CLIENT = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as sock:
    sock.connect(("10.0.1.2", 5001))
    print("sending", flush=True)
    while True:
        sock.sendall(bytes(1 << 16))
"""
