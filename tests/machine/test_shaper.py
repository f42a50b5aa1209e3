"""Links that are shaped at the sender, by the kernel's netem and htb, in user-mode Linux."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import testbed
from testbed.cli.application import application
from tests.machines import usable

pytestmark = pytest.mark.timeout(600)

EXPERIMENT = """\
topology:
  nodes: {client: {}, lan: {kind: switch}, server: {}}
  links:
    wifi: {between: [client, lan], netem: rate 10mbit delay 20ms limit 100, shaper: sender}
    port: {between: [lan, server], netem: {delay: 1ms}, shaper: sender}
stacks: [tcp, userspace-tcp]
workload: {kind: bulk, from: client, to: server, size: 2MB}
events: [{at: 1s, link: wifi, set: {rate: 5mbit}}]
probes: []
repetitions: 1
wire: netem
"""


def test_traffic_is_shaped_where_it_leaves(tmp_path: Path) -> None:
    name = usable("uml:7.3+virtual-time").name
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    argv = ["run", str(file), "--machine", name, "--results", str(tmp_path), "--json"]
    done = CliRunner().invoke(application, argv)
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "try").iterdir()
    for path in folder.glob("runs/*/run.json"):
        run = json.loads(path.read_text())
        counted = {(it["link"], it["toward"]): it for it in run["wires"]}
        assert {it["engine"] for it in counted.values()} == {"netem"}
        # The data is counted on each of the two links, at the sender of each.
        for toward in (("wifi", "lan"), ("port", "server")):
            assert counted[toward]["counters"]["forwarded_bytes"] > 2_000_000
    # 10 Mbit/s for a second, then 5: 1 s + (2 MB - 1.25 MB) / 5 Mbit/s, and headers.
    goodputs = testbed.read(folder).columns()["goodput"]
    assert len(goodputs) == 2
    assert all(2.1 < 2_000_000 * 8 / goodput < 2.6 for goodput in goodputs)
