"""A result folder to report on: simulated once, and copied for tests that damage it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import testbed

TEXT = """\
description: A path that goes silent
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 4mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 6mbit, delay: 30ms}}
stacks: [userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, duration: 3s}
events:
  - {at: 1s, link: wifi, state: blackhole}
  - {at: 2s, link: wifi, state: up}
repetitions: 2
expect:
  - {metric: goodput, stack: userspace, relative_to: userspace-tcp, at_least: 1.2}
"""


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four runs; tests do not write to it."""
    root = tmp_path_factory.mktemp("report")
    (root / "silent.yaml").write_text(TEXT)
    experiment = testbed.load(root / "silent.yaml", machine=testbed.SIMULATION)
    return testbed.run(experiment, root / "results").folder


@pytest.fixture
def folder(simulated: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(simulated, tmp_path / "copy"))
