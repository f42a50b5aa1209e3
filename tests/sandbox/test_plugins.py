"""A workload and a probe of another package, in a sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.results.store import Store
from tests import example

pytestmark = pytest.mark.sandbox

EXPERIMENT = f"""\
{example.TOPOLOGY}
stacks: [tcp, {example.THEIRS}]
workload: {{kind: echo, from: client, to: server, size: 20KB, rounds: 5}}
probes: [mptcp_info, tcp_info, nstat, sockstat]
wire: emulator
repetitions: 1
"""
READ = """
import json, sys, testbed
results = testbed.read(sys.argv[1])
seen = [each for number in (1, 2) for each in results.series(number)]
kinds = sorted({type(each).__name__ for each in seen})
counts = [each.in_use for each in seen if type(each).__name__ == "SockstatRecord"]
print(json.dumps({"kinds": kinds, "counts": counts}))
"""


@pytest.fixture(scope="module")
def folder(example_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result folder of the experiment."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "try.yaml").write_text(EXPERIMENT)
    done = example.testbed("run", "try.yaml", site=example_site, folder=folder)
    assert (done.returncode, done.stderr.count(": ok")) == (0, 2), done.stdout + done.stderr
    (results,) = (folder / "results" / "try").iterdir()
    return results


def read(folder: Path, site: Path | None) -> dict[str, Any]:
    done = example.python(["-c", READ, str(folder)], site, folder)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_workload_and_the_metric_of_the_probe_are_there(folder: Path) -> None:
    runs = {run.stack: run for run in Store.open(folder).runs()}
    assert all(run.metrics["echo_time_p50"] > 0 for run in runs.values())
    # The sockets that the kernel has: a listening one and two ends, and none for our stack's.
    assert runs["tcp"].metrics["sockets_max"] >= 1
    assert "sockets_max" in runs["theirs"].metrics
    assert runs["theirs"].stacks["workload"].used["source"]["congestion"] == "fixed_window"


def test_records_are_read_back_as_their_type(folder: Path, example_site: Path) -> None:
    found = read(folder, example_site)
    assert "SockstatRecord" in found["kinds"]
    assert max(found["counts"]) >= 1


LOUD = """
from testbed.probe.probes import Probe
from testbed.records import Record
from testbed.stack.mptcp.scheduler.minrtt import MinRtt
print("loud is imported")

class LoudRecord(Record, frozen=True, kw_only=True, tag="loud"):
    pass

class Loud(Probe):
    record = LoudRecord

    def sample(self):
        print("loud samples")
        return ()

class LoudScheduler(MinRtt):
    def assign(self, view):
        print("loud assigns")
        return super().assign(view)
"""


def test_what_a_plugin_prints_goes_to_the_logs(tmp_path: Path) -> None:
    groups = "[testbed.probes]\nloud = loud:Loud\n[testbed.schedulers]\nloud = loud:LoudScheduler\n"
    site = example.pretend(tmp_path / "site", groups)
    (site / "loud.py").write_text(LOUD)
    (tmp_path / "try.yaml").write_text(
        f"{example.TOPOLOGY}stacks: [userspace(scheduler=loud)]\nprobes: [loud]\n"
        "workload: {kind: bulk, from: client, to: server, size: 1MB}\nrepetitions: 1\n"
    )
    done = example.testbed("run", "try.yaml", site=site, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = "".join(file.read_text() for file in (tmp_path / "results").rglob("*.log"))
    assert "loud assigns" in logs
    assert "loud samples" in logs


def test_records_are_left_out_without_the_package(folder: Path) -> None:
    found = read(folder, None)
    assert "TcpInfoRecord" in found["kinds"]
    assert "SockstatRecord" not in found["kinds"]
