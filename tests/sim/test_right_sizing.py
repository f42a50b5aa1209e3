"""Windows that grow do not hold a transfer back, of TCP and of MPTCP."""

from __future__ import annotations

from pathlib import Path

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import Assignment, venue
from testbed.results.model import RunRecord, Status
from testbed.stack.tcp.config import TcpConfig
from tests.bottleneck import GOODPUT, MBIT, MS, Bottleneck


def test_20_megabytes_over_100_mbit_and_200_ms_reach_the_rate() -> None:
    network = Bottleneck(TcpConfig(), rate=100 * MBIT, rtt=200 * MS, queue=400 * MS)
    sender = network.start()
    network.fill(2.2)
    (goodput,) = network.fill(0.2)
    assert sender.acknowledged < 20_000_000
    assert goodput > 0.9 * 100 * MBIT * GOODPUT


EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {sysctls: {net.ipv4.tcp_rmem: 4096 20000 SIZE}}}
  links:
    one: {between: [client, server], netem: {rate: 10mbit, delay: 50ms, limit: 300}}
    two: {between: [client, server], netem: {rate: 10mbit, delay: 50ms, limit: 300}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 500KB}
repetitions: 1
"""


# As in experiments/schedulers.yaml; the buffers are those of the stack.
EQUAL = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    one: {between: [client, server], netem: {rate: 20mbit, delay: 10ms, limit: 1000}}
    two: {between: [client, server], netem: {rate: 20mbit, delay: 10ms, limit: 1000}}
stacks: [userspace(scheduler=SCHEDULER)]
workload: {kind: reqres, from: client, to: server, response: 2MB, count: 1}
repetitions: 1
"""


def carried_out(experiment_yaml: str, folder: Path) -> RunRecord:
    """Run an experiment of one run."""
    (folder / "try.yaml").write_text(experiment_yaml)
    experiment = load(folder / "try.yaml", Overrides(machine="sim"))
    [run] = runner.plan(experiment)
    assignment = Assignment(
        spec=experiment.spec,
        scenario=experiment.scenario(run.cell),
        planned=run,
        directory=folder,
        on_progress=lambda _: None,
    )
    record = venue("sim").run_once(assignment).record
    assert (record.status, record.reason) == (Status.OK, None)
    return record


def test_the_window_that_subflows_share_grows_up_to_the_largest_of_tcp_rmem(tmp_path: Path) -> None:
    """Both paths hold 250 kB together, the first window is 20 kB."""
    goodput = {
        size: carried_out(EXPERIMENT.replace("SIZE", str(size)), tmp_path).metrics["goodput"]
        for size in (20_000, 4_000_000)
    }
    assert goodput[20_000] < 2 * MBIT
    assert goodput[4_000_000] > 3 * MBIT


def test_data_that_waits_for_a_slower_subflow_lets_the_window_grow(tmp_path: Path) -> None:
    """The second path carries the end of the data first: little of what comes can be read."""
    goodput = {
        name: carried_out(EQUAL.replace("SCHEDULER", name), tmp_path).metrics["goodput"]
        for name in ("minrtt", "dems")
    }
    assert goodput["dems"] > 0.98 * goodput["minrtt"]
