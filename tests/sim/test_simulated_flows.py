"""Several flows in one simulated run."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.campaign import runner
from testbed.errors import InputError
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import Assignment, venue
from testbed.results.model import RunRecord, Status
from testbed.workload.spec import Bulk

TOPOLOGY = """\
nodes: {phone: {}, laptop: {}, router: {kind: router}, server: {}}
links:
  wifi: {between: [phone, router], netem: {rate: 10mbit, delay: 5ms}}
  lte: {between: [phone, router], netem: {rate: 10mbit, delay: 15ms}}
  lan: {between: [laptop, router], netem: {rate: 100mbit, delay: 1ms}}
  wan: {between: [router, server], netem: {rate: 15mbit, delay: 5ms, limit: 30}}
"""
FLOWS = """\
topology: topology.yaml
stacks: [userspace]
repetitions: 1
flows:
  transfer: {kind: bulk, from: phone, to: server, size: 1MB}
  rival: {kind: bulk, from: laptop, to: server, stack: userspace-tcp(congestion=reno), count: 2,
          background: true}
  short: {kind: bulk, from: laptop, to: server, size: {uniform: [2KB, 20KB]},
          arrivals: {poisson: 20}, stop: 1s, stack: userspace-tcp}
  calls: {kind: reqres, from: phone, to: server, interval: 50ms, clients: 2, start: 100ms,
          stop: 2s}
"""


def carried_out(folder: Path, text: str = FLOWS) -> tuple[RunRecord, dict[str, bytes]]:
    (folder / "topology.yaml").write_text(TOPOLOGY)
    (folder / "try.yaml").write_text(text)
    experiment = load(folder / "try.yaml", Overrides(machine="sim"))
    [run] = runner.plan(experiment)
    done = venue("sim").run_once(
        Assignment(
            spec=experiment.spec,
            scenario=experiment.scenario(run.cell),
            planned=run,
            directory=folder,
            on_progress=lambda _: None,
        )
    )
    return done.record, done.files


def test_flows_run_side_by_side_and_each_is_proved(tmp_path: Path) -> None:
    record, files = carried_out(tmp_path)
    assert (record.status, record.reason) == (Status.OK, None)
    assert set(record.flows) == {"transfer", "rival", "short", "calls"}
    assert record.flows["rival"].background
    assert len({flow.port for flow in record.flows.values()}) == 4
    assert record.flows["transfer"].proof.subflows == 2
    assert record.stacks["rival"].options == {"congestion": "reno"}
    assert record.stacks["rival"].used["source"]["congestion"] == "reno"
    assert record.stacks["transfer"].used["target"]["congestion"] == "cubic"
    assert b'"flow":"short"' in files["series.jsonl"]


def test_metrics_are_those_of_each_flow(tmp_path: Path) -> None:
    metrics = carried_out(tmp_path)[0].metrics
    assert metrics["short.transfers"] > 10
    assert metrics["short.completion_time_p50"] > 0.012  # a round trip, at least
    assert 38 < metrics["calls.transactions"] <= 76  # two clients, 1.9 s, each 50 ms
    assert 0 < metrics["transfer.goodput"] < 15e6
    assert metrics["rival.goodput"] > 1e6
    assert "goodput" not in metrics


def test_a_flow_in_the_background_goes_on_until_the_others_are_over(tmp_path: Path) -> None:
    metrics = carried_out(tmp_path)[0].metrics
    longest = max(metrics[f"{flow}.duration"] for flow in ("transfer", "short", "calls"))
    assert metrics["rival.duration"] > longest - 0.2


def test_equal_seeds_give_equal_runs(tmp_path: Path) -> None:
    first, again = (carried_out(tmp_path)[0] for _ in range(2))
    assert first.metrics == again.metrics
    other = carried_out(tmp_path, FLOWS + "seed: 2\n")[0]
    assert other.metrics["short.goodput"] != first.metrics["short.goodput"]


def test_an_error_names_the_flow(tmp_path: Path) -> None:
    text = """\
topology: topology.yaml
stacks: [userspace]
repetitions: 1
timeout: 3s
flows:
  short: {kind: bulk, from: laptop, to: server, size: 2KB}
  transfer: {kind: bulk, from: phone, to: server, size: 500MB}
"""
    record, _ = carried_out(tmp_path, text)
    assert record.status is Status.FAILED
    assert record.reason is not None
    assert record.reason.startswith(
        "transfer: the client timed out after 3 s while waiting for room"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flows:", "workload: {kind: bulk, from: phone, to: server, size: 1}\nflows:", "either"),
        ("transfer:", "trans.fer:", r"try.yaml:5: flows.\"trans.fer\": the key: expected text"),
        ("stack: userspace-tcp}", "stack: quic}", "no stack 'quic'"),
        (
            "stack: userspace-tcp(congestion=reno)",
            "stack: tcp(scheduler=a)",
            "no option 'scheduler'",
        ),
        ("from: phone, to: server, size", "from: phone, to: phone, size", "from and to are both"),
        ("to: server, size: 1MB", "to: servr, size: 1MB", "flows.transfer: .*'servr'.*'server'"),
        ("stop: 1s", "stop: 90s", "flows.short: .*longer than the timeout"),
        ("repetitions: 1", "matrix: {flows.transfr.size: [1MB]}", "'transfer'"),
        ("repetitions: 1", "matrix: {flows.transfer.sise: [1MB]}", "did you mean 'size'"),
        ("repetitions: 1", "matrix: {stack.schedular: [ecf]}", "did you mean 'scheduler'"),
        ("repetitions: 1", "matrix: {stack.scheduler: [best]}", "no scheduler 'best'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in FLOWS
    with pytest.raises(InputError, match=message):
        carried_out(tmp_path, FLOWS.replace(old, new, 1))


def test_a_size_of_a_flow_is_an_axis(tmp_path: Path) -> None:
    text = FLOWS.replace("repetitions: 1", "matrix: {flows.transfer.size: [1KB, 2KB]}")
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    (tmp_path / "try.yaml").write_text(text)
    experiment = load(tmp_path / "try.yaml", Overrides(machine="sim"))
    workloads = [experiment.scenario(cell).flows[0].flow.workload for cell in experiment.cells]
    sizes = [workload.size for workload in workloads if isinstance(workload, Bulk)]
    assert sizes == ["1KB", "2KB"]
    changed = load(
        tmp_path / "try.yaml", Overrides(machine="sim", values=[("flows.short.stop", "2s")])
    )
    assert changed.spec.flows["short"].stop == "2s"


def test_a_fixed_stack_of_the_kernel_is_carried_by_ours_and_that_is_said(tmp_path: Path) -> None:
    text = FLOWS.replace("userspace-tcp(congestion=reno)", "tcp(congestion=reno)")
    record, _ = carried_out(tmp_path, text)
    assert (record.status, record.reason) == (Status.OK, None)
    rival, short = record.stacks["rival"], record.stacks["short"]
    assert (rival.name, rival.stands_for) == ("userspace-tcp", "tcp")
    assert rival.used["source"] == {"congestion": "reno"}
    assert (short.name, short.stands_for) == ("userspace-tcp", None)
    written = carried_out(tmp_path)[0]
    assert record.metrics == written.metrics


def test_a_fixed_stack_in_a_matrix_is_carried_too(tmp_path: Path) -> None:
    text = FLOWS.replace("stack: userspace-tcp(congestion=reno)", "stack: userspace")
    text += "matrix: {flows.rival.stack: [tcp]}\n"
    record, _ = carried_out(tmp_path, text)
    assert (record.status, record.reason) == (Status.OK, None)
    assert record.stacks["rival"].stands_for == "tcp"


def test_an_option_that_only_the_kernel_has_is_refused(tmp_path: Path) -> None:
    text = FLOWS.replace("userspace-tcp(congestion=reno)", "mptcp(scheduler=default)")
    with pytest.raises(InputError, match="no scheduler 'default'"):
        carried_out(tmp_path, text)
