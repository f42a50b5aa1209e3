"""git bisect in a worktree of its own."""

from __future__ import annotations

import pytest

from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect import commits
from testbed.campaign.bisect.commits import Commits, worktree
from testbed.campaign.bisect.model import Candidate, Step
from testbed.errors import InputError
from tests.unit.campaign.bisect import repository
from tests.unit.campaign.bisect.repository import git

VERSIONS = ["good", "good", "skip", "good", "bad", "bad", "skip", "bad"]


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = tmp_path / "repo"
    repository.make(tree, {".gitignore": "*.pyc\n"}, VERSIONS)
    return tree


def ends(repo):
    return commits.commit(repo, "HEAD~7"), commits.commit(repo, "HEAD")


def judged(tree):
    return Judgement((tree / "version").read_text().split()[0])


def begun(tree, repo, steps=()):
    search = Commits(tree, *ends(repo), log=tree.parent.parent / "git.log")
    search.start(steps)
    return search


def test_the_first_bad_commit_is_found_and_the_checkout_untouched(repo):
    (repo / "version").write_text("changed\n")
    with worktree(repo) as tree:
        search = begun(tree, repo)
        while (candidate := search.current()) is not None:
            assert git(tree, "rev-parse", "HEAD") == candidate.name
            search.mark(candidate, judged(tree))
        assert [it.subject for it in search.culprits()] == ["Version 4 is bad"]
    assert not tree.exists()
    assert git(repo, "worktree", "list").count("\n") == 0
    assert git(repo, "status", "--short") == "M version"
    assert git(repo, "branch", "--show-current") == "main"
    assert (repo / "version").read_text() == "changed\n"


def test_where_only_skipped_ones_are_left_they_are_named(repo):
    with worktree(repo) as tree:
        search = begun(tree, repo)
        while (candidate := search.current()) is not None:
            skip = candidate.subject[:9] in {"Version 2", "Version 3", "Version 4"}
            search.mark(candidate, Judgement.SKIP if skip else judged(tree))
        numbers = sorted(it.subject[8] for it in search.culprits())
    assert numbers == ["2", "3", "4", "5"]


def test_gits_log_replays_the_bisection(repo, tmp_path):
    with worktree(repo) as tree:
        search = begun(tree, repo)
        while (candidate := search.current()) is not None:
            search.mark(candidate, judged(tree))
        log = tree.parent.parent / "git.log"
    git(repo, "bisect", "replay", str(log))
    assert "Version 4 is bad" in git(repo, "bisect", "log").splitlines()[-1]


def test_what_was_judged_before_is_not_asked_again(repo):
    with worktree(repo) as tree:
        search = begun(tree, repo)
        first = search.current()
        steps = [Step(candidate=first, judgement=judged(tree), why="")]
        search.mark(first, steps[0].judgement)
        second = search.current()
    with worktree(repo) as tree:
        assert begun(tree, repo, steps).current() == second


def test_neighbours_need_no_step(repo):
    with worktree(repo) as tree:
        one, other = commits.commit(repo, "HEAD~4"), commits.commit(repo, "HEAD~3")
        search = Commits(tree, one, other, log=tree.parent / "git.log")
        search.start(())
        assert search.current() is None
        assert [it.subject for it in search.culprits()] == ["Version 4 is bad"]


def test_a_good_end_after_the_bad_one_is_told(repo):
    with worktree(repo) as tree:
        good, bad = ends(repo)
        with pytest.raises(InputError, match="check that --good is an ancestor of --bad"):
            Commits(tree, bad, good, log=tree.parent / "git.log").start(())


def test_two_searches_at_a_time_are_refused(repo):
    with (
        worktree(repo),
        pytest.raises(InputError, match="another bisection of"),
        worktree(repo),
    ):
        pass


def test_what_a_killed_search_left_is_removed(repo):
    with worktree(repo) as tree:
        pass
    git(repo, "worktree", "add", "--detach", str(tree), "HEAD~1")
    (tree / "leftover").write_text("")
    with worktree(repo) as again:
        assert again == tree
        assert not (tree / "leftover").exists()


def test_no_file_that_git_does_not_know_stays(repo):
    """A compiled module would be taken for that of the next commit, if it is as large and old."""
    with worktree(repo) as tree:
        commits.check_out(tree, Candidate(name="HEAD~1"))
        (tree / "module.pyc").write_text("ignored by git")
        commits.check_out(tree, Candidate(name="HEAD~1"))
        assert not (tree / "module.pyc").exists()


def test_variables_of_a_hook_do_not_lead_elsewhere(repo, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert commits.commit(repo, "main").subject == "Version 7 is bad"


def test_no_commit_and_no_repository_are_one_line(repo, tmp_path):
    for name in ("nowhere", "--output=file", ""):
        with pytest.raises(InputError, match=f"has no commit {name}$"):
            commits.commit(repo, name)
    with pytest.raises(InputError, match="not a git repository"):
        commits.repository(tmp_path)
