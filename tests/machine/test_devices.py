"""VLANs, tunnels and VRFs of Linux 7.3: built, read back, and crossed by each stack."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.machine import Program
from tests.machines import usable

ROOT = Path(__file__).parent.parent.parent
EXPERIMENT = """
topology: {topology}
stacks: [tcp, mptcp, userspace]
workload: {{kind: bulk, from: {client}, to: {server}, size: 2MB, family: {family}}}
probes: [mptcp_info]
repetitions: 1
"""
# Between which hosts, over how many subflows of the kernel's MPTCP.
ENDS = {
    "vlans": ("client", "server", 2),
    "vpn": ("phone", "server", 3),
    "vrf": ("red-a", "red-b", 1),
    "six": ("a", "b", 2),
}
SIX = """
nodes: {a: , r: {kind: router}, b: }
links: {ar: {between: [a, r]}, rb: {between: [r, b]}}
tunnels: {t: {between: [a, b], kind: ip6gre}}
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, Any]]]:
    """Run an experiment on each topology; return its records by stack."""
    guest = usable("uml:7.3")
    folder = tmp_path_factory.mktemp("devices")
    (folder / "six.yaml").write_text(SIX)
    lines = [f"cp {ROOT}/topologies/v*.yaml {folder}"]
    for name, (client, server, _) in ENDS.items():
        family = "ipv6" if name == "vrf" else "ipv4"
        text = EXPERIMENT.format(
            topology=f"{name}.yaml", client=client, server=server, family=family
        )
        (folder / f"of-{name}.yaml").write_text(text)
        lines.append(f"{sys.executable} -m testbed run of-{name}.yaml --results results || exit 1")
    program = Program(
        argv=["sh", "-c", "\n".join(lines)],
        directory=folder,
        environment=dict(os.environ, PYTHONPATH=str(ROOT)),
        writable=[folder],
    )
    assert guest.execute(program, console=folder / "console", limit_s=400) == 0
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in ENDS:
        runs = (folder / "results" / f"of-{name}").rglob("run.json")
        read = [json.loads(path.read_text()) for path in runs]
        found[name] = {run["stack"]: run for run in read}
    return found


@pytest.mark.timeout(500)
@pytest.mark.parametrize("name", ENDS)
def test_each_stack_crosses_it(records: dict[str, dict[str, dict[str, Any]]], name: str) -> None:
    runs = records[name]
    assert set(runs) == {"tcp", "mptcp", "userspace"}
    for stack, run in runs.items():
        assert (run["status"], run["reason"]) == ("ok", None), stack
        if stack != "tcp":
            (flow,) = run["flows"].values()
            assert flow["proof"]["subflows"] == ENDS[name][2], stack


def test_what_takes_a_tunnel_crosses_the_link_that_carries_it(
    records: dict[str, dict[str, dict[str, Any]]],
) -> None:
    (flow,) = records["vpn"]["mptcp"]["flows"].values()
    assert {path["link"]: path["links"] for path in flow["paths"]} == {
        "wifi": ["wifi", "uplink", "lan"],
        "lte": ["lte", "uplink", "lan"],
        "vpn": ["lte", "uplink", "lan"],
    }
