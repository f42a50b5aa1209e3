"""An experiment is resumed with the very files it was begun with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import SIMULATION
from testbed.results.store import Store

TEXT = """
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {trace: walk.csv}}}
stacks: [userspace-tcp]
workload: {kind: web, from: client, to: server, page: site.json}
events: [{at: 1s, link: wifi, set: {trace: train.csv}}]
"""
PAGE = {"objects": [{"name": "index", "size": "1KB"}]}
FILES = ("walk.csv", "site.json", "train.csv")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "try.yaml").write_text(TEXT)
    for name in ("walk.csv", "train.csv"):
        (tmp_path / name).write_text("time,rate\n0s,1mbit\n1s,2mbit\n")
    (tmp_path / "site.json").write_bytes(msgspec.json.encode(PAGE))
    experiment = load(tmp_path / "try.yaml", Overrides(machine=SIMULATION))
    return runner.create(experiment, tmp_path / "results")


def named(store: Store) -> set[Path]:
    """Return the files that the resumed experiment names."""
    raw = runner.resume(store).raw
    return {
        Path(raw["workload"]["page"]),
        Path(raw["topology"]["links"]["wifi"]["netem"]["trace"]),
        Path(raw["events"][0]["set"]["trace"]),
    }


def test_files_that_are_as_they_were_are_used(store: Store, tmp_path: Path) -> None:
    assert named(store) == {tmp_path / name for name in FILES}


@pytest.mark.parametrize("changed", [False, True])
def test_copies_stand_for_files_that_are_gone_or_changed(
    store: Store, tmp_path: Path, *, changed: bool
) -> None:
    for name in FILES:
        if changed:
            (tmp_path / name).write_text("something else")
        else:
            (tmp_path / name).unlink()
    assert named(store) == set((store.path / "files").iterdir())
    assert store.experiment().spec["workload"]["page"] == str(tmp_path / "site.json")
