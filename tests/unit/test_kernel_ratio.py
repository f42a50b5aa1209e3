"""What scripts/kernel-ratio makes of results; the runs themselves need a kernel in virtual time."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import msgspec
import pytest

from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.statistics import Estimate

SCRIPT = Path(__file__).parents[2] / "scripts" / "kernel-ratio"


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("kernel_ratio", str(SCRIPT))
    spec = importlib.util.spec_from_loader("kernel_ratio", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernel_ratio"] = module  # msgspec looks its types up there
    loader.exec_module(module)
    return module


def cell(stack, congestion="cubic", **metrics):
    """Return a cell of one run."""
    estimates = {
        name.replace("_of_", "."): Estimate(n=1, mean=value, median=value, interval=None)
        for name, value in metrics.items()
    }
    return CellOutcome(
        stack=stack,
        parameters={},
        planned=1,
        ok=1,
        failed=0,
        invalid=0,
        metrics=estimates,
        subflows=(2,),
        engines=("netem",),
        relative=None,
        congestion=(congestion,),
    )


def outcome(name, *cells):
    """Return what an experiment has shown."""
    return Outcome(
        experiment=name,
        description="",
        headline=("goodput",),
        cells=cells,
        checks=(),
        problems=(),
        missing=0,
    )


def test_ours_is_held_against_the_kernels_stack_of_the_same_cell(script):
    kernel, ours = cell("mptcp", goodput=40.0), cell("userspace", goodput=38.0)
    (row,) = script.rows(outcome("quickstart", cell("tcp", goodput=20.0), kernel, ours))
    assert row.ratio == pytest.approx(0.95)
    assert row.missed


def test_like_is_compared_with_like(script):
    other = cell("mptcp", congestion="reno", goodput=40.0)
    assert not list(script.rows(outcome("quickstart", other, cell("userspace", goodput=38.0))))


def test_a_gap_counts_where_a_path_fails(script):
    cells = cell("mptcp", longest_gap=0.4), cell("userspace", longest_gap=0.3)
    assert not list(script.rows(outcome("quickstart", *cells)))
    (row,) = script.rows(outcome("backup", *cells))
    assert row.missed


def test_a_rivals_goodput_is_not_ours(script):
    cells = cell("mptcp", rival_of_goodput=9.0), cell("userspace", rival_of_goodput=5.0)
    assert not list(script.rows(outcome("fairness", *cells)))


def test_the_exit_code_tells_of_what_was_missed(script, tmp_path, monkeypatch, capsys):
    cells = cell("mptcp", goodput=40.0), cell("userspace", goodput=38.0)
    report = {"machine": "uml:7.3", "summary": outcome("quickstart", *cells)}
    path = tmp_path / "out.json"
    path.write_bytes(msgspec.json.encode([report]))
    monkeypatch.setattr(sys, "argv", ["kernel-ratio", str(path)])
    assert script.main() == 3
    assert "| quickstart | `userspace` | goodput | 0.950 | missed |" in capsys.readouterr().out
