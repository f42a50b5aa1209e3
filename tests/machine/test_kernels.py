"""Our MPTCP and each kernel's, in both roles, on virtual clocks.

``TESTBED_MACHINES=full`` asks every kernel and every case; ordinarily it
is one kernel and the cases that differ most.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machines import usable

FULL = os.environ.get("TESTBED_MACHINES") == "full"
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "interoperability"
KERNELS = ("uml:6.1", "uml:6.12", "uml:7.3")
PAIRS = {"userspace/mptcp", "mptcp/userspace"}
# The options of an ordinary run of each file.
ORDINARY = {"paths": ("--set", "case=2 paths, IPv6"), "failure": ()}

pytestmark = pytest.mark.timeout(900)  # emulated time, on a busy machine; nothing waits that long


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("kernel", KERNELS if FULL else KERNELS[-1:])
def test_the_kernel_takes_our_mptcp_for_a_peer(kernel, name, tmp_path):
    """A run counts only if both ends proved that they spoke MPTCP, over all paths."""
    usable(f"{kernel}+virtual-time")
    argv = [sys.executable, "-m", "testbed", "run", "--machine", kernel, "--virtual-time"]
    argv += ["--json", "--results", str(tmp_path), "--stack", "userspace/mptcp"]
    argv += ["--stack", "mptcp/userspace", *(() if FULL else ORDINARY[name])]
    done = subprocess.run(
        [*argv, str(HERE / f"{name}.yaml")], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    (report,) = json.loads(done.stdout)
    assert report["summary"]["problems"] == []
    assert done.returncode == 0
    cells = report["summary"]["cells"]
    assert {cell["stack"] for cell in cells} == PAIRS
    assert [cell["ok"] for cell in cells] == [1] * len(cells)
    for cell in cells:
        case = cell["parameters"].get("case", "2 paths")
        assert cell["subflows"] == [int(case.split()[0])]
