"""docs/metrics.md is what the registry says, and its example works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from testbed.analysis import registry
from testbed.workload.kinds import KINDS
from testbed.workload.metrics import METRICS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "metrics.md"


def test_the_page_is_what_the_script_writes():
    """``scripts/metrics-page`` writes the page again."""
    script = ROOT / "scripts" / "metrics-page"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0


def test_every_metric_is_on_the_page():
    text = PAGE.read_text()
    assert all(f"{name}`" in text for name in registry.metrics())
    assert all(metric.definition in text for metric in registry.metrics().values())


def test_every_kind_gives_metrics_that_there_are():
    assert {metric for name in KINDS.own() for metric in KINDS[name].gives} == set(METRICS)


EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0]
ASKS = """
from testbed.analysis.registry import metrics
from testbed.analysis.derive import derived
from testbed.results.store import Store
from pathlib import Path
import sys
run = Store.open(Path(sys.argv[1])).run(2)
print(metrics()["connections"].definition)
print(derived(run, Store.open(Path(sys.argv[1])).series(2)).metrics["connections"])
"""


def test_a_package_of_its_own_adds_a_metric(tmp_path):
    (tmp_path / "mine.py").write_text(EXAMPLE)
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[testbed.metrics]\nmine = mine:DERIVATION\n")
    folder = ROOT / "tests" / "unit" / "results" / "version1"
    done = subprocess.run(
        [sys.executable, "-c", ASKS, folder],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["connections that were seen at the source", "1.0"]
