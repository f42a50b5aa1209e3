"""How far a running experiment is, read from a folder that is being written."""

from __future__ import annotations

import json
import shutil

from testbed.report.following import LATEST, Follower


def test_what_is_over_planned_and_current(folder) -> None:
    follower = Follower()
    done = follower.progress("it", folder)
    assert (done.over, done.planned, done.current) == (4, 4, ())
    assert len(done.latest) == 4 <= LATEST
    shutil.rmtree(folder / "runs" / "0004")
    (folder / "runs" / ".0004").mkdir()
    now = follower.progress("it", folder)
    assert (now.over, now.planned) == (3, 4)
    (current,) = now.current
    assert current.startswith("run 0004, userspace")
    assert all(text.startswith("run 000") and ": ok, goodput" in text for text in now.latest)


def test_blocks_that_may_be_added_are_told_apart_from_those_that_have_begun(folder) -> None:
    path = folder / "experiment.json"
    record = json.loads(path.read_text())
    claim = {"metric": "goodput", "stack": "userspace", "at_least": 1}
    record["spec"] |= {"repetitions": 2, "max_repetitions": 5, "expect": [claim]}
    cells = 4 // 2
    path.write_text(json.dumps(record))
    follower = Follower()
    done = follower.progress("it", folder)
    assert (done.over, done.planned, done.most) == (4, 4, 5 * cells)
    (folder / "runs" / ".0005").mkdir()
    now = follower.progress("it", folder)
    assert (now.over, now.planned, now.most) == (4, 8, 5 * cells)
    assert "userspace" in now.current[0]


def test_why_a_run_does_not_count(folder) -> None:
    path = folder / "runs" / "0001" / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"status": "invalid", "reason": "it fell back"}))
    latest = Follower().progress("it", folder).latest
    assert any(text.endswith(": invalid, it fell back") for text in latest)


def test_damage_is_told_and_the_rest_is_there(folder) -> None:
    (folder / "runs" / "0002" / "run.json").write_text("{")
    found = Follower().progress("it", folder)
    assert found.over == 4
    assert "run 0002 cannot be read" in found.latest
    (folder / "experiment.json").write_text("{")
    assert Follower().progress("it", folder).planned == 0
