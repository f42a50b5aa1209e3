"""Queues on simulated wires, with whole connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.results.model import Status
from tests.sim.test_simulated_flows import carried_out

EXPERIMENT = """
topology:
  nodes: {{client: {{}}, server: {{}}}}
  links:
    wire: {{between: [client, server], netem: {{rate: 10mbit, delay: 10ms, queue: {queue}}}}}
stacks: [{stack}]
workload: {{kind: bulk, from: client, to: server, size: 2MB}}
probes: [wire]
repetitions: 1
"""


def measured(folder: Path, queue: str, stack: str = "userspace") -> dict[str, float]:
    record, _ = carried_out(folder, EXPERIMENT.format(queue=queue, stack=stack))
    assert record.status is Status.OK, record.reason
    return record.metrics


def test_fq_codel_keeps_the_delay_of_a_transfer_short_and_a_fifo_does_not(tmp_path: Path) -> None:
    fifo, short = (measured(tmp_path, queue) for queue in ("fifo", "fq_codel"))
    assert fifo["wire>server.queue_delay_p95"] > 0.03
    assert short["wire>server.queue_delay_p95"] < 0.02
    assert short["goodput"] > 0.8 * fifo["goodput"]


@pytest.mark.parametrize(
    "queue",
    ["codel ce_threshold 5ms", "red limit 400kb min 8kb max 9kb probability 1 burst 20 ecn"],
)
def test_dctcp_is_marked_and_loses_nothing(tmp_path: Path, queue: str) -> None:
    metrics = measured(tmp_path, queue, "userspace(congestion=dctcp)")
    assert metrics["wire>server.marked"] > 10
    assert metrics["wire>server.dropped"] == 0
    assert metrics["wire>server.queue_delay_p95"] < 0.02
    assert metrics["goodput"] > 8e6


def test_what_codel_drops_is_a_metric(tmp_path: Path) -> None:
    metrics = measured(tmp_path, "codel")
    assert metrics["wire>server.dropped_early"] == metrics["wire>server.dropped"] > 0
    assert metrics["wire>server.marked"] == 0


TRACE = """\
time_s,rate_mbit,delay_ms
0,10,10
0.5,0,10
1.5,10,10
100,10,10
"""
CHANGING = """
topology:
  nodes: {client: {}, server: {}}
  links: {wire: {between: [client, server], netem: {trace: link.csv}}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 1MB}
probes: [wire]
repetitions: 1
"""


def test_a_trace_begins_with_the_run_and_holds_everything_up_at_its_time(tmp_path: Path) -> None:
    (tmp_path / "link.csv").write_text(TRACE)
    record, files = carried_out(tmp_path, CHANGING)
    assert record.status is Status.OK, record.reason
    (event,) = record.events
    assert (event.action, event.planned_ns) == ("traces and flapping begin", 0)
    assert record.metrics["longest_gap"] == pytest.approx(1, abs=0.1)
    assert b"rate 10mbit queue fifo" in files["series.jsonl"]  # the options in force
