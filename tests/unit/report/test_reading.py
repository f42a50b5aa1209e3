"""Damaged folders: a line for each thing, and the rest is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.report.building import Options, build, page


def shown(folder: Path, **options):
    built, damage = build([folder], Options(**options))
    return page(built, damage), damage


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_view(path: Path) -> None:
    record = json.loads(path.read_text())
    record["flows"]["workload"]["details"]["source"]["view"] = 7
    path.write_text(json.dumps(record))


DAMAGES = {
    "truncated run": lambda it: (it / "runs/0002/run.json").write_bytes(b'{"schema": 2, "num'),
    "newer run": lambda it: edit(it / "runs/0002/run.json", schema=99),
    "run with a view of another shape": lambda it: edit_view(it / "runs/0002/run.json"),
    "run of another shape": lambda it: edit(it / "runs/0002/run.json", metrics=7),
    "no environment": lambda it: (it / "environment.json").unlink(),
    "newer environment": lambda it: edit(it / "environment.json", schema=99),
    "damaged manifest": lambda it: (it / "manifest.jsonl").write_text("{\n"),
    "damaged series": lambda it: (it / "runs/0002/series.jsonl").write_bytes(b"\xff{\n"),
    "truncated series": lambda it: (it / "runs/0002/series.jsonl").write_text('{"probe": "wi'),
    "run of endless depth": lambda it: (it / "runs/0002/run.json").write_text('{"a":' * 99999),
    "series of endless depth": lambda it: (it / "runs/0002/series.jsonl").write_text("[" * 99999),
    "manifest of endless depth": lambda it: (it / "manifest.jsonl").write_text("[" * 99999 + "\n"),
    "FIFO": lambda it: [(it / "environment.json").unlink(), os.mkfifo(it / "environment.json")],
    "samples that are none": lambda it: (it / "runs/0002/samples.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_one_line_each_and_the_rest_is_shown(folder, damage) -> None:
    damage(folder)
    text, lines = shown(folder)
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert str(folder) in lines[0]
    assert "Could not be read" in text
    for run in (1, 3, 4):
        assert f"Run {run:04d}" in text


def test_a_run_without_series_is_not_damaged(folder) -> None:
    (folder / "runs/0002/series.jsonl").unlink()
    text, lines = shown(folder)
    assert lines == []
    assert "Run 0002" in text


def test_a_topology_that_cannot_be_is_one_line(folder) -> None:
    path = folder / "experiment.json"
    record = json.loads(path.read_text())
    record["spec"]["topology"]["links"]["wifi"]["between"] = ["client", "nobody"]
    path.write_text(json.dumps(record))
    text, lines = shown(folder)
    assert len(lines) == 1
    assert "nobody" in lines[0]
    assert "The network" not in text
    assert "Verdicts" in text


def test_other_folders_are_shown_beside_one_that_is_none(folder, tmp_path) -> None:
    built, lines = build([tmp_path / "nothing", folder], Options())
    assert len(built) == 1
    assert len(lines) == 1


def test_nothing_at_all_is_an_error(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no experiment\.json"):
        build([tmp_path], Options())


def test_folders_of_schema_1_are_shown() -> None:
    text, _ = shown(Path(__file__).parents[1] / "results" / "version1")
    assert "What really ran" in text


def test_any_metric_can_be_shown(folder) -> None:
    text, lines = shown(folder, metrics=("rtt_p95", "@lte.share"))
    assert lines == []
    assert "rtt_p95: 95th percentile" in text
    assert "@lte.share: " in text


def test_a_metric_that_no_run_has_is_refused(folder) -> None:
    with pytest.raises(InputError, match="no_such"):
        build([folder], Options(metrics=("no_such",)))
