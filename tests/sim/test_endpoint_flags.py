"""The event ``set_endpoint``: flags of endpoints change while a connection of ours lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import testbed

EXPERIMENT = """
topology:
  nodes:
    client: {mptcp: {endpoints: [{interface: lte, flags: [subflow]}]}}
    r: {kind: router}
    server: {mptcp: {endpoints: [{interface: s2, flags: [signal]}]}}
  links:
    wifi: {between: [client, r], netem: {rate: 4mbit, delay: 5ms, limit: 20}}
    lte: {between: [client, r], netem: {rate: 4mbit, delay: 5ms, limit: 20}}
    s1: {between: [server, r]}
    s2: {between: [server, r]}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [userspace]
repetitions: 1
events: [EVENT]
"""
PATHS = [("10.0.1.1", "10.0.3.1"), ("10.0.1.1", "10.0.4.1"), ("10.0.2.1", "10.0.3.1")]
MESH = [*PATHS, ("10.0.2.1", "10.0.4.1")]


def subflows(folder: Path, event: str) -> list[tuple[str, str, bool]]:
    """Return the ends of the client's subflows, and which are backups."""
    path = folder / "try.yaml"
    path.write_text(EXPERIMENT.replace("EVENT", event))
    results = testbed.run(testbed.load(path, machine=testbed.SIMULATION), folder)
    (record,) = results.runs
    assert (record.status, record.reason) == ("ok", None)
    view: dict[str, Any] = record.flows["workload"].details["source"]["view"]["mptcp_info"]
    return sorted(
        (each["local"].partition(":")[0], each["remote"].partition(":")[0], each["backup"])
        for each in view["subflows"]
    )


def test_an_endpoint_becomes_fullmesh_and_a_backup(tmp_path: Path) -> None:
    change = "{at: 100ms, node: client, set_endpoint: {interface: lte, FLAGS}}"
    found = subflows(tmp_path, change.replace("FLAGS", "fullmesh: true, backup: true"))
    assert [each[:2] for each in found] == MESH
    assert [each[:2] for each in found if each[2]] == MESH[2:]


def test_without_fullmesh_it_has_one_subflow(tmp_path: Path) -> None:
    change = "{at: 100ms, node: client, set_endpoint: {interface: lte, backup: true}}"
    assert [each[:2] for each in subflows(tmp_path, change)] == PATHS
