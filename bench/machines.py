"""From ``testbed run --machine M experiments/quickstart.yaml`` to the first packet of its workload.

Each kernel says on its console when it ended, and each run when its workload began, on the same
clock.  So the time before the first packet is that of the whole command less that from the first
packet to the kernel's end; what ends after the kernel counts as if it came before.  Machines that
do not work here are named and left out.  The median of several rounds; the exit code is 1 if a
requirement was missed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from testbed.machine import machine

EXPERIMENT: Final = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
REQUIRED_S: Final = {"qemu:6.1": 15.0, "uml:7.3": 3.0}
ROUNDS: Final = 3
_OPTIONS: Final = ("--stack", "tcp", "--repetitions", "1", "--set", "workload.size=1MB")
# The time at the start of each line of the kernel.
_AT: Final = re.compile(r"^\[ *(\d+\.\d+)\]", re.MULTILINE)


def first_packet_s(name: str) -> float:
    """Run the experiment in a machine; return when its first packet was, seconds."""
    with tempfile.TemporaryDirectory(prefix="testbed-") as results:
        command = (sys.executable, "-m", "testbed", "run", "--machine", name, *_OPTIONS)
        began = time.monotonic()
        # Exit code 1 means an invalid run, for example on a busy host.  Its first packet
        # still counts.
        done = subprocess.run(
            [*command, "--results", results, str(EXPERIMENT)],
            capture_output=True,
            text=True,
            check=False,
        )
        took_s = time.monotonic() - began
        try:
            (folder,) = Path(results).glob("*/*")
            (file,) = folder.glob("runs/*/run.json")
        except ValueError:
            raise SystemExit(f"{name}: {done.stderr}") from None
        zero_s = json.loads(file.read_text())["zero_ns"] / 1e9
        end_s = max(map(float, _AT.findall((folder / "console.log").read_text())))
        return took_s - (end_s - zero_s)


def main() -> int:
    """Measure every machine with a requirement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    rounds = parser.parse_args().rounds
    missed = False
    for name, required_s in REQUIRED_S.items():
        found = machine(name).availability()
        if not found.ok:
            print(f"{name}: not measured: {found.why}")
            continue
        times = [first_packet_s(name) for _ in range(rounds)]
        median = statistics.median(times)
        missed = missed or median >= required_s
        each = ", ".join(f"{it:.1f}" for it in times)
        print(f"{name}: first packet after {median:.1f} s ({each}); required: < {required_s:g} s")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
