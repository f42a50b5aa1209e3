"""The time in which `testbed serve` lists many result folders, first and repeated.

Run it with ``python bench/serve.py``: a directory with 10,000 folders of one run each is made, and
listed twice.  At most 2 s are allowed the first time, and 0.2 s afterwards.  ``--json`` prints one
JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from testbed.report.listing import Listing

FOLDERS: Final = 10_000
FIRST: Final = 2.0
AGAIN: Final = 0.2


def fill(root: Path) -> None:
    """Make folders as `testbed run` does, with all files that a listing reads."""
    environment = json.dumps({"schema": 2, "machine": "sim", "memory": 2**34})
    manifest = '{"run":1,"at":"x"}\n{"run":1,"at":"x","status":"ok","seconds":1.5}\n'
    for number in range(FOLDERS):
        folder = root / f"experiment-{number % 100}" / f"20260314T150926Z-{number:08x}"
        folder.mkdir(parents=True)
        record = {
            "schema": 2,
            "name": f"experiment-{number % 100}",
            "topology": "two_paths",
            "created_at": f"2026-03-14T15:09:26.{number:06d}+00:00",
            "version": "0.1.0",
            "spec": {
                "description": "a try",
                "stacks": ["tcp", "mptcp"],
                "topology": {"x": "y" * 800},
            },
        }
        (folder / "experiment.json").write_text(json.dumps(record))
        (folder / "environment.json").write_text(environment)
        (folder / "manifest.jsonl").write_text(manifest)
        (folder / "summary.json").write_text("{}")


def main() -> int:
    """Measure, and fail if it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        fill(root)
        listing = Listing(root)
        taken = []
        for _ in range(2):
            start = time.monotonic()
            count = len(listing.entries())
            taken.append(time.monotonic() - start)
    if count != FOLDERS:
        raise AssertionError(f"{count} folders are listed, not {FOLDERS}")
    if arguments.json:
        print(json.dumps({"first_s": taken[0], "again_s": taken[1]}))
    else:
        print(f"listing {FOLDERS} folders: {taken[0]:.2f} s (at most {FIRST}), ", end="")
        print(f"again {taken[1]:.3f} s (at most {AGAIN})")
    return int(taken[0] > FIRST or taken[1] > AGAIN)


if __name__ == "__main__":
    sys.exit(main())
