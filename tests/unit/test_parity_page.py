"""The tables of scripts/parity-page from results; the runs need a kernel in virtual time."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.statistics import Estimate
from testbed.analysis.verdicts import Check, Verdict

SCRIPT = Path(__file__).parents[2] / "scripts" / "parity-page"


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("parity_page", str(SCRIPT))
    spec = importlib.util.spec_from_loader("parity_page", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity_page"] = module  # msgspec looks its types up there
    loader.exec_module(module)
    return module


def cell(stack, congestion="cubic", parameters=None, **metrics):
    """Return a cell of one run; ``rival_of_goodput`` is ``rival.goodput``."""
    estimates = {
        name.replace("_of_", "."): Estimate(n=1, mean=value, median=value, interval=None)
        for name, value in metrics.items()
    }
    return CellOutcome(
        stack=stack,
        parameters=parameters or {},
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


def outcome(name, *cells, headline="goodput", checks=()):
    """Return what an experiment has shown."""
    return Outcome(
        experiment=name,
        description="",
        headline=(headline,),
        cells=cells,
        checks=checks,
        problems=(),
        missing=0,
    )


@pytest.fixture
def rows(script):
    """Compare the cells of an outcome; the flows are carried by the stack of the cell's name."""

    def compare(found, stacks=None):
        used = {
            script.identity(cell): (stacks or {}).get(cell.stack, {"workload": cell.stack})
            for cell in found.cells
        }
        return list(script.rows(found, used))

    return compare


def test_ours_is_held_against_the_kernels_stack_of_the_same_cell(rows):
    kernel, ours = cell("mptcp", goodput=40.0), cell("userspace", goodput=38.0)
    (row,) = rows(outcome("quickstart", cell("tcp", goodput=20.0), kernel, ours))
    assert row.ratio == pytest.approx(0.95)
    assert row.missed


def test_like_is_compared_with_like(rows):
    ours = cell("userspace", goodput=38.0, parameters={"case": "one", "stack.scheduler": "blest"})
    other_control = cell("mptcp", congestion="reno", goodput=40.0, parameters={"case": "one"})
    other_case = cell("mptcp", goodput=40.0, parameters={"case": "two"})
    assert rows(outcome("quickstart", other_control, other_case, ours)) == []
    kernel = cell("mptcp", goodput=38.0, parameters={"case": "one"})
    (row,) = rows(outcome("quickstart", kernel, ours))
    assert (row.ratio, row.cell) == (1.0, "case one; scheduler blest; `userspace`")


def test_options_decide_which_of_the_kernels_stacks_is_alike(rows):
    plain, fast = cell("mptcp", goodput=2.0), cell("mptcp(fast_open=true)", goodput=4.0)
    ours, ours_fast = cell("userspace", goodput=2.0), cell("userspace(fast_open=true)", goodput=4.0)
    cells = plain, fast, ours, ours_fast
    carried = {each.stack: {"workload": each.stack.split("(")[0]} for each in cells}
    assert [row.ratio for row in rows(outcome("fast_open", *cells), carried)] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("stack", "kernel"),
    [("userspace/mptcp", "mptcp"), ("mptcp/userspace", "mptcp"), ("userspace-tcp", "tcp")],
)
def test_ours_at_one_end_and_our_tcp_have_a_rival_too(rows, stack, kernel):
    cells = (cell(name, goodput=9.0) for name in ("tcp", "mptcp", stack))
    (row,) = rows(outcome("quickstart", *cells))
    assert row.cell == f"`{stack}`"
    assert rows(outcome("quickstart", cell(stack, goodput=9.0), cell("other", goodput=9.0))) == []


def test_a_gap_counts_where_a_path_fails(rows):
    cells = cell("mptcp", longest_gap=0.4), cell("userspace", longest_gap=0.3)
    assert rows(outcome("quickstart", *cells)) == []
    (row,) = rows(outcome("backup", *cells))
    assert row.missed


def test_where_less_is_better_more_is_missed(rows):
    cells = cell("mptcp", latency_p50=1.0), cell("userspace", latency_p50=1.02)
    (row,) = rows(outcome("reqres", *cells, headline="latency_p50"))
    assert not row.missed
    cells = cell("mptcp", latency_p50=1.0), cell("userspace", latency_p50=1.04)
    (row,) = rows(outcome("reqres", *cells, headline="latency_p50"))
    assert row.missed


def test_a_rivals_goodput_is_not_ours(rows):
    metrics = {"multipath_of_goodput": 9.0, "rival_of_goodput": 5.0}
    cells = cell("mptcp", **metrics), cell("userspace", **metrics)
    stacks = {each.stack: {"multipath": each.stack, "rival": "tcp"} for each in cells}
    (row,) = rows(outcome("fairness", *cells, headline="multipath.goodput"), stacks)
    assert row.metric == "multipath.goodput"


@pytest.mark.parametrize(
    ("ours", "verdict", "code"),
    [(40.0, "pass", 0), (38.0, "pass", 3), (40.0, "inconclusive", 3)],
)
def test_the_exit_code_tells_of_claims_and_ratios(script, rows, ours, verdict, code):
    check = Check(
        text="goodput is much",
        metric="goodput",
        parameters={},
        value=40.0,
        interval=None,
        at_least=1.0,
        at_most=None,
        verdict=Verdict(verdict),
    )
    cells = cell("mptcp", goodput=40.0), cell("userspace", goodput=ours)
    found = outcome("quickstart", *cells, checks=(check,))
    report = script.Report(machine="uml:7.3", folder="", summary=found)
    assert script.exit_code([report], rows(found)) == code
    assert f"| goodput is much |  | 40.0 bit/s | {verdict} |" in script.verdicts([report])


def test_files_have_the_names_that_experiments_write(script):
    assert script.as_written(f"page {script.SHIPPED}/pages/shop.yaml") == "page pages/shop.yaml"
