"""The predicted subflows of a topology, compared with those of the kernel's path manager."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from testbed import records
from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.venue import Assignment, venue
from testbed.machine.model import HOST

pytestmark = pytest.mark.sandbox

TOPOLOGY = """\
nodes:
  client: {{mptcp: {{limits: {{subflows: {cs}, add_addr_accepted: {ca}}}, endpoints: [{ce}]}}}}
  server:
    sysctls: {{net.mptcp.allow_join_initial_addr_port: {allow}}}
    mptcp: {{limits: {{subflows: {ss}, add_addr_accepted: {sa}}}, endpoints: [{se}]}}
"""
DIRECT = """\
links:
  wifi: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
  lte: {between: [client, server], netem: {rate: 20mbit, delay: 15ms}}
"""
ROUTED = """\
  r: {kind: router}
links:
  wifi: {between: [client, r], netem: {rate: 20mbit, delay: 5ms}}
  lte: {between: [client, r], netem: {rate: 20mbit, delay: 15ms}}
  eth: {between: [r, server], netem: {rate: 100mbit, delay: 2ms}}
  dsl: {between: [r, server], netem: {rate: 100mbit, delay: 6ms}}
"""
EXPERIMENT = """\
topology: topology.yaml
stacks: [mptcp]
workload: {kind: bulk, from: client, to: server, duration: 700ms}
repetitions: 1
"""


def endpoints(rng: random.Random, interfaces: tuple[str, str]) -> str:
    found = []
    for name in interfaces:
        if rng.random() < 0.8:
            flags = [flag for flag in ("subflow", "signal") if rng.random() < 0.55]
            if flags == ["subflow"] and rng.random() < 0.3:
                flags.append("fullmesh")
            if flags:
                found.append(f"{{interface: {name}, flags: [{', '.join(flags)}]}}")
    return ", ".join(found)


def network(seed: int, *, allow: int = 1) -> str:
    rng = random.Random(seed)
    routed = rng.random() < 0.6
    limits = {name: rng.choice([1, 2, 4, 8]) for name in ("cs", "ss")}
    limits |= {name: rng.choice([0, 1, 2, 8]) for name in ("ca", "sa")}
    far = ("eth", "dsl") if routed else ("wifi", "lte")
    nodes = TOPOLOGY.format(
        **limits, allow=allow, ce=endpoints(rng, ("wifi", "lte")), se=endpoints(rng, far)
    )
    return nodes + (ROUTED if routed else DIRECT)


def predicted_and_seen(folder: Path, topology: str) -> tuple[int, int]:
    (folder / "topology.yaml").write_text(topology)
    (folder / "try.yaml").write_text(EXPERIMENT)
    experiment = load(folder / "try.yaml")
    [run] = runner.plan(experiment)
    scenario = experiment.scenario(run.cell)
    done = venue(HOST).run_once(
        Assignment(
            spec=experiment.spec,
            scenario=scenario,
            planned=run,
            directory=folder,
            on_progress=lambda _: None,
        )
    )
    seen = max(
        record.mptcp.established
        for record in records.read(done.files["series.jsonl"])
        if isinstance(record, records.MptcpInfoRecord) and record.node == "client"
    )
    return scenario.flows[0].subflows, seen


@pytest.mark.parametrize("seed", range(8))
def test_the_kernel_makes_the_subflows_that_are_predicted(tmp_path: Path, seed: int) -> None:
    predicted, seen = predicted_and_seen(tmp_path, network(seed))
    assert seen == predicted


@pytest.mark.parametrize("links", [DIRECT, ROUTED], ids=["direct", "routed"])
def test_endpoints_that_are_both_subflow_and_signal(tmp_path: Path, links: str) -> None:
    far = ("eth", "dsl") if links is ROUTED else ("wifi", "lte")
    both = [
        ", ".join(f"{{interface: {name}, flags: [subflow, signal]}}" for name in names)
        for names in (("wifi", "lte"), far)
    ]
    nodes = TOPOLOGY.format(cs=8, ca=8, ss=8, sa=8, allow=1, ce=both[0], se=both[1])
    predicted, seen = predicted_and_seen(tmp_path, nodes + links)
    assert seen == predicted


def test_a_server_that_denies_joins_to_its_first_address_gets_none(tmp_path: Path) -> None:
    nodes = TOPOLOGY.format(
        cs=8,
        ca=8,
        ss=8,
        sa=8,
        allow=0,
        ce="{interface: lte, flags: [subflow]}",
        se="{interface: eth, flags: [subflow]}",
    )
    assert predicted_and_seen(tmp_path, nodes + ROUTED) == (1, 1)
