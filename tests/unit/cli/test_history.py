"""`testbed history`: folders of runs that are made up."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.campaign import runner
from testbed.cli.application import application
from testbed.experiment.load import load
from tests.folders import keep

TEXT = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [mptcp]
repetitions: 5
"""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return a folder of result folders: on the fourth day the goodput falls by a fifth."""
    file = tmp_path / "try.yaml"
    file.write_text(TEXT)
    experiment = load(file)
    for day in range(1, 7):
        at = f"2026-03-{day:02d}T12:00:00.000+00:00"
        monkeypatch.setattr(runner, "now", lambda at=at: at)
        store = runner.create(experiment, tmp_path / "results")
        for planned in runner.plan(experiment):
            goodput = (40e6 if day < 4 else 32e6) * (1 + (planned.repetition + day % 3) / 1000)
            keep(store, planned, {"goodput": goodput, "duration": 8e6 / goodput})
    return tmp_path / "results" / "try"


def invoke(*arguments):
    return CliRunner().invoke(application, ["history", *map(str, arguments)])


def test_a_table_says_where_the_numbers_changed(folders):
    done = invoke("--metrics", "goodput", folders)
    assert done.exit_code == 0, done.stderr
    title, heads, *rows = done.stdout.splitlines()
    assert title.startswith("try: goodput of mptcp  ")
    assert {*title[-6:-3]} <= {*"▇█"}
    assert {*title[-3:]} <= {*"▁▂"}
    assert heads.split()[:2] == ["made", "commit"]
    assert ["regressed" in row for row in rows[:6]] == [False] * 3 + [True] + [False] * 2
    assert rows[3].startswith("2026-03-04 12:00")


def test_the_json_has_every_point(folders):
    found = json.loads(invoke("--json", *sorted(folders.iterdir())).stdout)
    assert [line["metric"] for line in found["lines"]] == ["goodput", "duration"]
    points = found["lines"][0]["points"]
    assert [point["change"] is not None for point in points] == [False] * 3 + [True] + [False] * 2
    assert points[3]["change"]["relative"] == pytest.approx(-0.2, abs=0.01)


def test_it_is_drawn(folders, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "found.svg"
    assert invoke("--svg", file, folders).exit_code == 0
    text = file.read_text()
    assert "<svg" in text
    again = tmp_path / "again.svg"
    invoke("--svg", again, folders)
    assert text.count("<path") == again.read_text().count("<path") > 10


def test_what_is_not_installed_is_said_and_4(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    done = invoke(folders)
    assert done.exit_code == 4
    assert "pip install 'testbed[history]'" in done.stderr


def test_folders_of_another_experiment_are_refused(folders):
    first = min(folders.iterdir())
    path = first / "experiment.json"
    recorded = json.loads(path.read_text())
    recorded["spec"]["workload"]["size"] = "2MB"
    path.write_bytes(msgspec.json.encode(recorded))
    done = invoke(folders)
    assert done.exit_code == 2
    assert "of different experiments: workload.size: 2MB, 1MB" in done.stderr


def test_a_name_that_is_too_long_is_no_folder():
    done = CliRunner().invoke(application, ["history", "n" * 300])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
