"""The needs of tests, and the messages when the machine lacks them."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.pytest import needs
from testbed.pytest.needs import Capabilities, unmet
from testbed.sandbox import Feature


def feature(name: str, *, present: bool) -> Feature:
    return Feature(name=name, present=present, detail="tried", why="it does", instead="load it")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine is one with an old kernel that has MPTCP and no netem."""
    there = Capabilities(
        kernel="6.1.0-18-amd64",
        root=False,
        features=(feature("mptcp", present=True), feature("netem", present=False)),
    )
    nothing = Capabilities(kernel="6.1", root=True, no_sandbox="no namespaces: none; be root")
    monkeypatch.setattr(needs, "capabilities", {"host": there, "uml:6.1": nothing}.__getitem__)


def test_what_is_there_is_met() -> None:
    assert unmet(["sandbox", "mptcp", "kernel>=6.1", "kernel >= 5.16.3"], None) == []


def test_what_is_missing_says_why_and_how_to_get_it() -> None:
    assert unmet(["mptcp", "netem"], None) == [
        "needs netem: host has none (tried): it does; load it"
    ]
    [root] = unmet(["root"], "host")
    assert "use sudo" in root


@pytest.mark.parametrize("wanted", ["6.2", "6.1.1", "6.12", "7"])
def test_kernels_are_compared_by_their_numbers(wanted: str) -> None:
    [reason] = unmet([f"kernel>={wanted}"], None)
    assert "host has 6.1.0-18-amd64" in reason
    assert f"uml:{wanted}" in reason


def test_without_a_sandbox_no_feature_can_be_tried() -> None:
    assert unmet(["mptcp", "kernel>=6"], "uml:6.1") == ["needs mptcp: no namespaces: none; be root"]


def test_a_sandbox_in_a_guest_needs_pytest_inside_of_it() -> None:
    [reason] = unmet(["sandbox"], "uml:6.1")
    assert "testbed machine exec uml:6.1 -- python -m pytest" in reason


def test_nothing_else_can_be_needed() -> None:
    with pytest.raises(InputError, match="did you mean 'netem'"):
        unmet(["nettem"], None)
