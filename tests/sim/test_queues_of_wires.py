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
