"""Which plugins the runs of an experiment use, wherever the experiment names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.plugins import used
from testbed.experiment.venue import SIMULATION
from tests import example

PLAIN = "{kind: bulk, from: client, to: server, size: 10KB}"
SYSCTL = '"net.ipv4.tcp_congestion_control": fixed_window'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"stacks: [userspace]\nworkload: {PLAIN}\n", set()),
        (
            f"stacks: [userspace]\nworkload: {PLAIN}\nmatrix: {{stack.scheduler: [ecf, sticky]}}\n",
            {"schedulers:sticky"},
        ),
        (
            (
                f"stacks: [userspace]\nworkload: {PLAIN}\n"
                "cases: {a: {links.lte.mtu: 1400}, b: {links.lte.mtu: 1500}}\n"
                f"matrix: {{stack.congestion: [fixed_window]}}\n"
            ),
            {"congestion:fixed_window"},
        ),
        (
            (
                "stacks: [userspace-tcp]\nflows:\n"
                f"  a: {PLAIN}\n"
                "  b: {kind: echo, from: client, to: server, stack: userspace(scheduler=sticky)}\n"
            ),
            {"workloads:echo", "schedulers:sticky"},
        ),
        (
            f"stacks: [userspace]\nworkload: {PLAIN}\nprobes: [wire, sockstat]\n",
            {"probes:sockstat"},
        ),
    ],
)
def test_every_place_counts(example_site: Path, tmp_path: Path, text: str, names: set[str]) -> None:
    assert _used(example_site, tmp_path, example.TOPOLOGY + text) == names


def test_a_control_that_a_node_asks_for_counts(example_site: Path, tmp_path: Path) -> None:
    topology = example.TOPOLOGY.replace("{client: {}", f"{{client: {{sysctls: {{{SYSCTL}}}}}")
    text = f"{topology}stacks: [userspace]\nworkload: {PLAIN}\n"
    assert _used(example_site, tmp_path, text) == {"congestion:fixed_window"}


def _used(site: Path, folder: Path, text: str) -> set[str]:
    file = folder / "try.yaml"
    file.write_text(text)
    with example.beside(site):
        found = used(load(file, Overrides(machine=SIMULATION)))
    assert found.pop("testbed.metrics:example") == "testbed-example 1.0"  # derived of every run
    return {name.removeprefix("testbed.") for name in found}
