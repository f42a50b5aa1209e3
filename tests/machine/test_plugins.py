"""A machine has the plugins of another package."""

from pathlib import Path

import pytest

from testbed.results.store import Store
from tests import example
from tests.machines import usable

MACHINE = "uml:7.3+virtual-time"
EXPERIMENT = f"""\
{example.TOPOLOGY}
stacks: [{example.THEIRS}]
workload: {{kind: echo, from: client, to: server, size: 20KB, rounds: 10}}
probes: [mptcp_info, sockstat]
repetitions: 1
"""

pytestmark = pytest.mark.timeout(600)


def test_a_machine_has_the_plugins_of_its_host(example_site: Path, tmp_path: Path) -> None:
    usable(MACHINE)
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    options = ["--machine", "uml:7.3", "--virtual-time"]
    done = example.testbed("run", *options, "try.yaml", site=example_site, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "results" / "try").iterdir()
    store = Store.open(folder)
    assert store.environment().machine == MACHINE
    assert store.environment().plugins["testbed.workloads:echo"] == "testbed-example 1.0"
    (run,) = store.runs()
    assert run.metrics["echo_time_p50"] > 0
    assert "sockets_max" in run.metrics
