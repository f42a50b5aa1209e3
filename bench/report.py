"""The time and the size of a report of a large simulated sweep.

Run it with ``python bench/report.py``: 300 cells of short transfers are simulated three times,
then `testbed report` makes a page of their folder.  ``--json`` prints one JSON document,
``--folder DIR`` takes a folder that is there.  At most 20 s and 5 MB are allowed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import testbed

SECONDS: Final = 20.0
OCTETS: Final = 5_000_000
SWEEP: Final = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
stacks: [userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 300KB}
matrix:
  links.wifi.delay: [5ms, 10ms, 20ms, 40ms, 80ms]
  links.lte.delay: [5ms, 10ms, 20ms, 40ms, 80ms, 160ms]
  links.wifi.rate: [2mbit, 5mbit, 10mbit, 20mbit, 40mbit]
repetitions: 3
"""


def simulate(root: Path) -> Path:
    """Return a folder with the runs of the sweep."""
    file = root / "sweep.yaml"
    file.write_text(SWEEP)
    print("simulating 900 runs", file=sys.stderr)
    experiment = testbed.load(file, machine=testbed.SIMULATION)
    return testbed.run(experiment, root / "results", jobs=2).folder


def report(folder: Path, page: Path) -> float:
    """Return the seconds that the command takes, including its start."""
    start = time.monotonic()
    command = [sys.executable, "-m", "testbed", "report", str(folder), "-o", str(page)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main() -> int:
    """Measure, and fail if it takes too long or is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = arguments.folder or simulate(root)
        seconds = report(folder, root / "page.html")
        octets = (root / "page.html").stat().st_size
    if arguments.json:
        print(json.dumps({"seconds": seconds, "octets": octets}))
    else:
        print(f"report of a sweep: {seconds:.1f} s (at most {SECONDS:.0f}), ", end="")
        print(f"{octets / 1e6:.1f} MB (at most {OCTETS / 1e6:.0f})")
    return int(seconds > SECONDS or octets > OCTETS)


if __name__ == "__main__":
    sys.exit(main())
