"""The scenarios of experiments/mptcp_join.yaml have the subflows of the kernel's script."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from testbed.cli.application import application

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "mptcp_join.yaml"

# chk_join_nr of the block of that name in mptcp_join.sh, and the initial subflow; fullmesh is ours.
SUBFLOWS = {
    "no JOIN": 1,
    "single subflow, limited by client": 1,
    "single subflow, limited by server": 1,
    "single subflow": 2,
    "multiple subflows": 3,
    "multiple subflows, limited by server": 2,
    "unused signal address": 1,
    "signal address": 2,
    "subflow and signal": 4,  # two endpoints of the client, and the announced address
    "fullmesh": 6,  # three addresses of the client to two of the server
}


def test_each_case_has_the_subflows_of_its_block(tmp_path):
    options = ["--sim", "--json", "--results", str(tmp_path), "--set", "workload.size=100KB"]
    done = CliRunner().invoke(application, ["run", *options, str(EXPERIMENT)])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    cells = found["summary"]["cells"]
    assert {it["parameters"]["case"]: it["subflows"] for it in cells} == {
        case: [number] for case, number in SUBFLOWS.items()
    }
