"""The preparation of a commit of a kernel, or of a machine, for measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect import asked, commits, places
from testbed.campaign.bisect.model import Candidate, Kind, Wanted
from testbed.cli.building import Lines
from testbed.errors import MachineError
from testbed.machine.uml import builds
from tests.unit.campaign.bisect import repository

HERE = Path(__file__).parents[4]


def wanted(kind, **more):
    one = Candidate(name="one")
    return Wanted(
        kind=kind, good=one, bad=one, arguments=(), directory="/here", python="python", **more
    )


@pytest.fixture
def kernel(tmp_path):
    """Return a tree that looks like Linux, with a commit that does not compile."""
    tree = tmp_path / "linux"
    repository.make(tree, {"arch/um/Kconfig": ""}, ["one", "broken"])
    return tree


def test_a_kernel_is_built_of_the_commit_and_run(kernel, monkeypatch, tmp_path):
    built = []

    def build(source, watcher):
        version = Path(source, "version").read_text().split()[0]
        built.append((version, watcher))
        (builds.of_tree(kernel) / "build.log").write_text(f"it is {version}\n")
        if version == "broken":
            hint = "see the log of the cache"
            raise MachineError(
                f"the build of the kernel failed: {kernel}/one.c:1: error", hint=hint
            )

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "build", build)
    watcher = Lines()
    place = places.place(wanted(Kind.KERNEL, tree=str(kernel)), kernel, watcher)
    good, bad = (commits.commit(kernel, name) for name in ("HEAD~1", "HEAD"))
    start = place.ready(good, tmp_path)
    assert built == [("one", watcher)]
    assert start.options == ("--machine", f"uml:{kernel}")
    assert start.directory == Path("/here")
    assert start.environment["PYTHONPATH"].startswith(str(HERE))
    log = tmp_path / "build.log"
    assert log.read_text() == "it is one\n"
    with pytest.raises(places.UnusableError, match=f"kernel failed: one.c:1: error; see {log}"):
        place.ready(bad, tmp_path)
    assert log.read_text() == "it is broken\n"


def test_what_a_tree_is_of_is_seen(kernel):
    ends = asked.of_commits(kernel / "arch", "HEAD~1", None)
    assert (ends.kind, ends.tree) == (Kind.KERNEL, str(kernel))
    assert (ends.good.subject, ends.bad.subject) == ("Version 0 is one", "Version 1 is broken")


def test_a_machine_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    place = places.place(wanted(Kind.MACHINES), None, object())
    start = place.ready(Candidate(name="uml:7.3+virtual-time"), tmp_path)
    assert start.options == ("--machine", "uml:7.3+virtual-time")
    assert start.environment["PYTHONPATH"].endswith(":/theirs")


@pytest.mark.parametrize(
    ("good", "bad", "machines"),
    [
        (None, None, ("uml:1.0", "uml:2.0", "uml:3.0")),
        ("uml:2.0", None, ("uml:2.0", "uml:3.0")),
        (None, "uml:2.0", ("uml:1.0", "uml:2.0")),
    ],
)
def test_ends_may_be_named_in_a_list(good, bad, machines):
    ends = asked.of_machines("uml:1.0, uml:2.0,uml:3.0", good, bad)
    assert ends.machines == machines
    assert (ends.good.name, ends.bad.name) == (machines[0], machines[-1])


def test_judgements_are_the_words_of_git():
    assert {it.value for it in Judgement} == {"good", "bad", "skip"}
