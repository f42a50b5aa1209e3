"""`testbed trace`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from testbed.cli.application import application

ROOT = Path(__file__).parents[3]
RUN = CliRunner()
PING = "64 bytes from 192.0.2.1: icmp_seq={} ttl=57 time={} ms\n"


def test_show_sums_a_trace_up() -> None:
    file = ROOT / "topologies" / "traces" / "starlink-down.csv"
    done = RUN.invoke(application, ["trace", "show", str(file), "--json"])
    assert done.exit_code == 0
    shown = json.loads(done.output)
    assert shown["duration_s"] == 120
    assert 60 < shown["columns"]["rate_mbit"]["mean"] < 200
    changes = {row["time_s"] % 60 for row in shown["rows"] if row["loss_percent"] > 0}
    assert changes == {12, 27, 42, 57}
    assert "delay_ms" in RUN.invoke(application, ["trace", "show", str(file)]).output


def test_convert_writes_what_a_wire_reads(tmp_path: Path) -> None:
    ping, trace = tmp_path / "ping.txt", tmp_path / "link.csv"
    ping.write_text("".join(PING.format(number, 20 + number) for number in (1, 2, 4)))
    arguments = ["trace", "convert", str(ping), "--step", "200ms", "-o", str(trace)]
    assert RUN.invoke(application, arguments).exit_code == 0
    lines = trace.read_text().splitlines()
    assert lines[1:3] == ["time_s,delay_ms,loss_percent", "0,10.5,0"]
    assert lines[4] == "0.4,11,100"
    topology = tmp_path / "lab.yaml"
    topology.write_text(
        "nodes: {a: {}, b: {}}\nlinks: {x: {between: [a, b], netem: {trace: link.csv}}}\n"
    )
    assert RUN.invoke(application, ["check", str(topology)]).exit_code == 0


def test_convert_reads_standard_input() -> None:
    arguments = ["trace", "convert", "-", "--from", "csv", "--to", "mahimahi"]
    done = RUN.invoke(application, arguments, input="t,Mbps throughput\n0,12\n")
    assert done.exit_code != 0  # the unit stands before the name
    done = RUN.invoke(application, arguments, input="t,throughput Mbps\n0,12\n")
    assert done.output.splitlines()[:3] == ["1", "2", "3"]


def test_mistakes_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("time,rate_mbit\n0,5\n1,fast\n")
    argv = [sys.executable, "-m", "testbed", "trace", "show", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{file}:3: 'fast' is not a rate" in done.stderr


def test_the_shipped_traces_are_what_the_script_writes() -> None:
    argv = [sys.executable, ROOT / "scripts" / "traces", "--check"]
    assert subprocess.run(argv, check=False).returncode == 0
