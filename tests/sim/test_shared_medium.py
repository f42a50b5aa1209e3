"""Two transfers in opposite directions over a link whose directions share a medium."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import Assignment, venue

EXPERIMENT = """\
topology:
  nodes: {phone: {}, server: {}}
  links:
    wifi: {between: [phone, server], netem: {rate: 20mbit, delay: 2ms%s}, duplex: %s}
stacks: [userspace-tcp]
repetitions: 1
flows:
  up: {kind: bulk, from: phone, to: server, duration: 1s}
  down: {kind: bulk, from: server, to: phone, duration: 1s}
"""


def goodputs(folder: Path, duplex: str, queue: str) -> list[float]:
    """Return those of both transfers, in Mbit/s."""
    (folder / "try.yaml").write_text(EXPERIMENT % (queue, duplex))
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
    return [done.record.metrics[f"{name}.goodput"] / 1e6 for name in ("up", "down")]


@pytest.mark.parametrize("queue", ["", ", queue: fq_codel"])
def test_they_share_it_evenly(tmp_path: Path, queue: str) -> None:
    half, full = (goodputs(tmp_path, duplex, queue) for duplex in ("half", "full"))
    assert min(full) > 15
    assert 14 < sum(half) < 19.2
    assert min(half) / max(half) > 0.7
