"""The cost of `testbed compare` for two folders of 100 runs each, start-up included.

Run it with ``python bench/compare.py``: the runs are synthetic, of one cell or of ten, with noise,
so that each change has an interval and a test.  Goals apply to processor time, as other work on
the machine changes the elapsed time.  ``--json`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.results.model import RunRecord, Status

EXPERIMENT: Final = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [mptcp]
"""
SHAPES: Final = {
    1: "repetitions: 100\n",
    10: "repetitions: 10\nmatrix: {links.wifi.delay: "
    "[1ms, 2ms, 3ms, 4ms, 5ms, 6ms, 7ms, 8ms, 9ms, 10ms]}\n",
}
RUNS: Final = 100
TIMES: Final = 5
REQUIRED_S: Final = 1.5


def folder(file: Path, root: Path, seed: int) -> Path:
    """Make a result folder with noise."""
    noise = random.Random(seed)
    experiment = load(file)
    store = runner.create(experiment, root)
    planned = runner.plan(experiment)
    assert len(planned) == RUNS
    with store.writing():
        for run in planned:
            goodput = 40e6 * noise.gauss(1, 0.03)
            store.begin_run(run.number)
            store.finish_run(
                RunRecord(
                    number=run.number,
                    stack=run.cell.stack,
                    parameters=run.cell.parameters,
                    repetition=run.repetition,
                    seed=run.seed,
                    status=Status.OK,
                    started_at="",
                    seconds=1.0,
                    metrics={"goodput": goodput, "duration": 8e6 / goodput},
                )
            )
    return store.path


def cost(base: Path, new: Path) -> tuple[float, float]:
    """Compare once; return the processor's and the wall clock's seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    argv = [sys.executable, "-m", "testbed", "compare", str(base), str(new)]
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    assert done.returncode in (0, 3), done.returncode
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, ended - began


def measured(more: str) -> tuple[float, float]:
    """Compare two folders of an experiment several times; return the best of them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "try.yaml")
        file.write_text(EXPERIMENT + more)
        base, new = (folder(file, Path(scratch, str(seed)), seed) for seed in (1, 2))
        return min(cost(base, new) for _ in range(TIMES))


def main() -> int:
    """Measure, print, and fail if it costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {cells: measured(text) for cells, text in SHAPES.items()}
    for cells, (processor, wall) in found.items():
        if not options.json:
            print(
                f"compare: two folders of {RUNS} runs, cells: {cells}: {processor:.2f} s of a "
                f"processor, {wall:.2f} s on the clock (at most {REQUIRED_S} s; best of {TIMES})"
            )
    if options.json:
        rows = [
            {"cells": cells, "processor_s": it[0], "wall_s": it[1]} for cells, it in found.items()
        ]
        print(json.dumps({"runs": RUNS, "required_s": REQUIRED_S, "found": rows}))
    return int(max(processor for processor, _ in found.values()) > REQUIRED_S)


if __name__ == "__main__":
    sys.exit(main())
