"""The effect of the boxes of experiments/middleboxes.yaml on our MPTCP: subflows and fallback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from testbed.cli.application import application

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "middleboxes.yaml"

BOTH, FIRST, NONE = (2, False), (1, False), (0, True)
FELL_BACK = (1, True)  # at its end it still counts as a subflow
BECOMES = {
    "none": BOTH,
    "options removed from SYN": NONE,
    "options removed from SYN/ACK": FELL_BACK,
    "options removed after SYN": FELL_BACK,
    "options removed after SYN, on lte": FIRST,
    "DSS removed": FELL_BACK,
    "ADD_ADDR removed": FIRST,
    "no timestamps": BOTH,
    "sequence numbers rewritten": BOTH,
    "segments split": BOTH,
    "segments merged": BOTH,
    "segments replayed": BOTH,
    "address translation": BOTH,
    "packets with unknown options dropped": NONE,
    "further subflows blocked": FIRST,
    "SYN proxy": NONE,
    "policer": BOTH,
}


def test_each_box_does_to_our_stack_what_the_page_says(tmp_path: Path) -> None:
    options = ["--sim", "--json", "--results", str(tmp_path), "--repetitions", "1"]
    options += ["--stack", "userspace", "--set", "workload.size=300KB", "--set", "expect=[]"]
    done = CliRunner().invoke(application, ["run", *options, str(EXPERIMENT)])
    assert done.exit_code == 0, done.output
    runs: list[dict[str, Any]] = [json.loads(it.read_text()) for it in tmp_path.rglob("run.json")]
    assert {run["parameters"]["case"]: _outcome(run) for run in runs} == BECOMES
    # Each box saw what it was there for: a segment that it changed, or did not let through.
    idle = [box for run in runs for box in run.get("boxes", ()) if not _worked(box)]
    assert [box["kind"] for box in idle] == []


def _outcome(run: dict[str, Any]) -> tuple[int, bool]:
    return int(run["metrics"]["subflows"]), bool(run["metrics"]["fell_back"])


def _worked(box: dict[str, Any]) -> bool:
    return bool(box["changed"]) or box["came"] != box["left"]
