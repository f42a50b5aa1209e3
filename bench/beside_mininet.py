"""Goodput over the same network by Mininet and here.

Run it with ``python bench/beside_mininet.py``: it prints one line for each network, and exits with
1 if a ratio is, by its 95 % interval, more than 5 % away from 1.  ``--json`` prints one JSON
document; ``--write docs/interchange.md`` puts the table between two marks of that page.

Each network is a Mininet ``Topo`` with one ``TCLink``.  Debian's Mininet builds it anew for each
transfer, and two processes send through it.  Here it is what ``testbed import mininet`` makes of
the same file, with a ``bulk`` workload over netem.  Both use the TCP of one kernel, in user-mode
Linux on a virtual clock: the load of this machine has no part in the numbers.  Goodput is payload
over the time from the start of connecting to the last octet read.
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
SIZE: Final = 5_000_000  # octets of a transfer
MARGIN: Final = 0.05

NETWORKS: Final = {  # TCLink's parameters, and how many transfers: loss is chance
    "bw=10": 5,
    "bw=10, delay='20ms'": 5,
    "bw=10, delay='20ms', loss=1": 40,
    "bw=10, delay='20ms', max_queue_size=20": 5,
}

TOPO: Final = """
from mininet.topo import Topo

class Pair(Topo):
    def build(self):
        self.addLink(self.addHost("client"), self.addHost("server"), {})
"""
EXPERIMENT: Final = """
topology: {topology}
stacks: [tcp]
workload: {{kind: bulk, from: client, to: server, size: {size}B}}
repetitions: {repetitions}
probes: []
wire: netem
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
import sys
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
folder, size, repetitions, server_program, client_program = sys.argv[1:]
sys.path.insert(0, folder)
from net import Pair
setLogLevel("error")
for _ in range(int(repetitions)):
    net = Mininet(Pair(), link=TCLink, controller=None)
    net.start()
    client, server = net.get("client", "server")
    python = ["/usr/bin/python3", "-c"]
    taking = server.popen([*python, server_program], universal_newlines=True)
    taking.stdout.readline()
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
        """Whether both carry the same, but for the margin."""
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
        *("/usr/bin/python3", "-c", MININET, str(folder), str(SIZE), str(repetitions)),
        *(SERVER, CLIENT),
    )
    return [float(line) for line in said.split()]


def by_testbed(folder: Path, repetitions: int) -> list[float]:
    """Return the goodput of each transfer over what is imported of the same file."""
    ours = [sys.executable, "-m", "testbed"]
    topology = folder / "topology.yaml"
    script = f"{folder / 'net.py'}:Pair"
    subprocess.run([*ours, "import", "mininet", script, "-o", str(topology)], check=True)
    experiment = folder / "experiment.yaml"
    text = EXPERIMENT.format(topology=topology, size=SIZE, repetitions=repetitions)
    experiment.write_text(text)
    results = folder / "results"
    in_machine(folder, *ours, "run", "--json", "--results", str(results), str(experiment))
    (found,) = results.glob("experiment/*")
    goodputs: list[float] = testbed.read(found).columns()["goodput"]
    return goodputs


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
    repetitions = f"{min(NETWORKS.values())} transfers, with loss {max(NETWORKS.values())}"
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
