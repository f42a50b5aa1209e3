"""The list of result folders: nothing is missed, nothing from elsewhere is in it."""

from __future__ import annotations

import json
import shutil

import pytest

from testbed.report.listing import Entry, Listing, chosen
from testbed.results.store import Store


@pytest.fixture
def root(simulated, tmp_path):
    """Two experiments, with one folder and two."""
    for place in ("silent/1", "silent/2", "other/1"):
        shutil.copytree(simulated, tmp_path / "results" / place)
    file = tmp_path / "results/other/1/experiment.json"
    later = {"name": "other", "created_at": "2100-01-01T00:00:00+00:00"}
    file.write_text(json.dumps(json.loads(file.read_text()) | later))
    return tmp_path / "results"


def test_folders_are_listed_the_newest_first(root) -> None:
    first, *others = Listing(root).entries()
    assert (first.id, first.name, first.machine) == ("other/1", "other", "sim")
    assert first.stacks == ("userspace-tcp", "userspace")
    assert first.runs == {"ok": 4}
    assert {entry.id for entry in others} == {"silent/1", "silent/2"}


def test_states(root) -> None:
    (root / "silent/1/summary.json").write_text("{}")
    (root / "other/1/experiment.json").write_text("{")
    listing = Listing(root)
    assert {it.id: it.state for it in listing.entries()} == {
        "silent/1": "complete",
        "silent/2": "unfinished",
        "other/1": "damaged",
    }
    with Store.open(root / "silent/2").writing():
        states = {it.id: it.state for it in listing.entries()}
        assert states["silent/2"] == "running"
    assert "running" not in {it.state for it in listing.entries()}


def test_what_changes_is_read_again_and_nothing_else(root, monkeypatch) -> None:
    listing = Listing(root)
    before = listing.entries()
    shutil.rmtree(root / "silent/2")
    new = root / "other/1/.experiment.json.new"
    new.write_text((root / "other/1/experiment.json").read_text())
    new.replace(root / "other/1/experiment.json")
    read = []
    monkeypatch.setattr(
        "testbed.report.listing._read",
        lambda id_, path: read.append(id_) or Entry(id=id_, state="complete"),
    )
    after = listing.entries()
    assert read == ["other/1"]
    assert len(after) == len(before) - 1


def test_links_to_elsewhere_are_not_followed(root, simulated) -> None:
    (root / "elsewhere").symlink_to(simulated.parent)
    listing = Listing(root)
    assert not [it for it in listing.entries() if "elsewhere" in it.id]
    for name in ("../silent", "elsewhere", "silent/1/../2", "/etc", "silent/1\x00", ""):
        assert listing.path(name) is None
    assert listing.path("silent/1") == root / "silent/1"


def test_search_and_filters() -> None:
    entries = [
        Entry(id="a/1", state="complete", name="a", machine="sim", stacks=("tcp", "mptcp")),
        Entry(id="b/1", state="running", name="b", description="Wi-Fi fails", machine="host"),
    ]
    assert [it.id for it in chosen(entries, "wi-fi FAILS")] == ["b/1"]
    assert [it.id for it in chosen(entries, "", {"stack": "mptcp", "state": ""})] == ["a/1"]
    assert chosen(entries, "", {"stack": "mptcp", "state": "running"}) == []
    assert [it.id for it in chosen(entries, "", {"machine": "host"})] == ["b/1"]
