"""Goodput over the same network by Mininet and here.

Run it with ``python bench/beside_mininet.py``: it prints one line for each network, and exits with
1 if a ratio is, by its 95 % interval, more than 5 % away from 1.  ``--json`` prints one JSON
document; ``--write docs/interchange.md`` puts the table between two marks of that page.

Each network is a Mininet ``Topo`` with one ``TCLink``.  Debian's Mininet builds it again for each
transfer, with static ARP entries, as ours has them.  Here ``testbed import mininet`` converts the
same file, with netem.  The same two programs send through both, over the TCP of one kernel, in
user-mode Linux on a virtual clock, so the load of this machine does not change the numbers.
Goodput is payload over the time from the start of connecting to the last octet read.

Transfers start at different phases of the kernel's clock.  They decide which segments TCP makes of
up to 64 KiB, and how long the last one is, which is on its way for up to 1 % of the transfer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import _region

import testbed
from testbed.analysis.statistics import estimate, ratio

MACHINE: Final = "uml:7.3+virtual-time"
PORT: Final = 5001  # the port of the programs below
SIZE: Final = 5_000_000  # octets of a transfer
MARGIN: Final = 0.05

# Starts of transfers in ms after the setup of the network, when its own multicast has ended.
STARTS: Final = tuple(10_000 + 137 * number for number in range(10))
NETWORKS: Final = {  # parameters of TCLink; transfers for each start
    "bw=10": 1,
    "bw=10, delay='20ms'": 1,
    "bw=10, delay='20ms', loss=1": 4,
    "bw=10, delay='20ms', max_queue_size=20": 1,
}

TOPO: Final = """
from mininet.topo import Topo

class Pair(Topo):
    def build(self):
        self.addLink(self.addHost("client"), self.addHost("server"), {})
"""
SERVER: Final = """
import socket, time
listener = socket.create_server(("", 5001))
print("ready", flush=True)
connection, _ = listener.accept()
octets = 0
while data := connection.recv(65536):
    octets += len(data)
    last = time.monotonic()
print(octets, last)
"""
CLIENT: Final = """
import socket, sys, time
began = time.monotonic()
connection = socket.create_connection((sys.argv[1], 5001))
connection.sendall(bytes(int(sys.argv[2])))
connection.close()
print(began)
"""
MININET: Final = """
import sys, time
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
folder, size, starts, server_program, client_program = sys.argv[1:]
sys.path.insert(0, folder)
from net import Pair
setLogLevel("error")
for start in starts.split():
    net = Mininet(Pair(), link=TCLink, controller=None, autoStaticArp=True)
    net.start()
    client, server = net.get("client", "server")
    python = ["/usr/bin/python3", "-c"]
    taking = server.popen([*python, server_program], universal_newlines=True)
    taking.stdout.readline()
    time.sleep(int(start) / 1000)
    giving = client.popen([*python, client_program, server.IP(), size], universal_newlines=True)
    began = float(giving.communicate()[0])
    octets, last = taking.communicate()[0].split()
    if octets != size:
        raise SystemExit(octets + " octets arrived")
    print(int(octets) * 8 / (float(last) - began), flush=True)
    net.stop()
"""


class Row(NamedTuple):
    """A network: goodputs in bit/s."""

    parameters: str
    mininet: list[float]
    here: list[float]

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Ours over Mininet's, and the bounds of its 95 % interval."""
        found = ratio(self.here, [self.mininet])
        bounds = found.interval
        return (found.value, *((bounds.low, bounds.high) if bounds else (found.value,) * 2))

    @property
    def agrees(self) -> bool:
        """Whether both have the same goodput, within the margin."""
        _, low, high = self.ratio
        return low <= 1 + MARGIN and high >= 1 - MARGIN

    def words(self) -> list[str]:
        """Return the row as text."""
        value, low, high = self.ratio
        sides = [_mbit(self.mininet), _mbit(self.here)]
        return [self.parameters, *sides, f"{value:.3f} [{low:.3f}, {high:.3f}]"]


def _mbit(goodputs: list[float]) -> str:
    found = estimate(goodputs)
    bounds = found.interval
    shown = f" [{bounds.low / 1e6:.2f}, {bounds.high / 1e6:.2f}]" if bounds else ""
    return f"{found.mean / 1e6:.2f}{shown}"


def in_machine(folder: Path, *argv: str) -> str:
    """Return what a program prints in the machine.  Raises SystemExit if it fails."""
    machine = [sys.executable, "-m", "testbed", "machine", "exec", "--writable", str(folder)]
    done = subprocess.run(
        [*machine, MACHINE, "--", *argv], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed in {MACHINE}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def by_mininet(folder: Path, repetitions: int) -> list[float]:
    """Return the goodput of each transfer over Mininet's network."""
    said = in_machine(
        folder,
        *("/usr/bin/python3", "-c", MININET, str(folder), str(SIZE)),
        *(" ".join(map(str, STARTS * repetitions)), SERVER, CLIENT),
    )
    return [float(line) for line in said.split()]


def by_testbed(folder: Path, repetitions: int) -> list[float]:
    """Return the goodput of each transfer over the network that is imported from the same file."""
    ours = [sys.executable, "-m", "testbed"]
    topology = folder / "topology.yaml"
    script = f"{folder / 'net.py'}:Pair"
    subprocess.run([*ours, "import", "mininet", script, "-o", str(topology)], check=True)
    experiment = folder / "experiment.yaml"
    experiment.write_text(json.dumps(experiment_over(topology, repetitions)))
    results = folder / "results"
    in_machine(folder, *ours, "run", "--json", "--results", str(results), str(experiment))
    (found,) = results.glob("experiment/*")
    columns = testbed.read(found).columns()
    return [
        SIZE * 8 / (last - began)
        for began, last in zip(columns["began"], columns["last"], strict=True)
    ]


def experiment_over(topology: Path, repetitions: int) -> dict[str, Any]:
    """Return the experiment with the two programs.  Their output gives its metrics."""
    python = ["/usr/bin/python3", "-c"]
    sides = (
        ("server", [*python, SERVER], "last", r"\d+ ([\d.]+)", {"ready": PORT}),
        ("client", [*python, CLIENT, "{address}", str(SIZE)], "began", r"([\d.]+)", {}),
    )
    programs = [
        {
            "node": node,
            "argv": argv,
            "metrics": {
                metric: {
                    "regex": regex,
                    "unit": "s",
                    "better": "lower",
                    "definition": "a moment of CLOCK_MONOTONIC",
                }
            },
            **more,
        }
        for node, argv, metric, regex, more in sides
    ]
    return {
        "topology": str(topology),
        "stacks": ["tcp"],
        "workload": {
            "kind": "command",
            "from": "client",
            "to": "server",
            "port": PORT,
            "programs": programs,
        },
        "matrix": {"workload.start": [f"{start}ms" for start in STARTS]},
        "repetitions": repetitions,
        "probes": [],
        "wire": "netem",
    }


def measure() -> Iterator[Row]:
    """Measure each network both ways."""
    for parameters, repetitions in NETWORKS.items():
        with tempfile.TemporaryDirectory(prefix="beside-mininet-") as name:
            folder = Path(name)
            (folder / "net.py").write_text(TOPO.format(parameters))
            yield Row(parameters, by_mininet(folder, repetitions), by_testbed(folder, repetitions))


def as_markdown(rows: list[Row]) -> str:
    """Return the table for the page."""
    lines = ["| `TCLink` | Mininet, Mbit/s | here, Mbit/s | ratio |", "| --- | --- | --- | --- |"]
    for row in rows:
        parameters, *numbers = row.words()
        lines.append(f"| `{parameters}` | {' | '.join(numbers)} |")
    least, most = (len(STARTS) * each(NETWORKS.values()) for each in (min, max))
    repetitions = f"{least} transfers, with loss {most}"
    where = f"{repetitions}, of {SIZE / 1e6:.0f} MB; means and 95 % intervals, in `{MACHINE}`"
    return "\n".join([*lines, "", f"`python bench/beside_mininet.py`: {where}."])


def main() -> int:
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", type=Path, help="replace the marked region of a Markdown file")
    arguments = parser.parse_args()
    rows = []
    for row in measure():
        rows.append(row)
        if not arguments.json:
            print("   ".join([*row.words(), "ok" if row.agrees else "DIFFERS"]), flush=True)
    if arguments.json:
        document: list[dict[str, Any]] = [
            {**row._asdict(), "ratio": row.ratio, "agrees": row.agrees} for row in rows
        ]
        print(json.dumps(document, indent=2))
    if arguments.write:
        _region.replace(arguments.write, "beside mininet", as_markdown(rows))
    return 0 if all(row.agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
