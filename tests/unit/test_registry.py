"""Names of what can be chosen, and what other packages add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from testbed import registry
from testbed.errors import InputError
from testbed.registry import Plugin, Registry, making
from testbed.stack.mptcp.scheduler.base import Scheduler

GROUP = "testbed.schedulers"
MINRTT = "testbed.stack.mptcp.scheduler.minrtt:MinRtt"


def plugin(name: str, value: str = MINRTT, distribution: str = "theirs") -> Plugin:
    return Plugin(group=GROUP, name=name, value=value, distribution=distribution, version="1.2")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry[Any]]:
    """Makes a registry with two entries of its own, where some entry points are installed."""

    def make(*installed: Plugin, accept: Any = lambda _, found: found) -> Registry[Any]:
        monkeypatch.setattr(registry, "plugins", lambda group: installed if group == GROUP else ())
        return Registry("scheduler", GROUP, {"b": 2, "a": "testbed.errors:InputError"}, accept)

    return make


def test_own_entries_and_their_places(made: Any) -> None:
    it = made()
    assert (it.names(), it.own()) == (["a", "b"], ["a", "b"])
    assert (it["b"], it["a"], it.find("a")) == (2, InputError, InputError)


@pytest.mark.parametrize("ask", [Registry.__getitem__, Registry.find, Registry.take])
def test_an_unknown_name(made: Any, ask: Any) -> None:
    with pytest.raises(InputError, match="no scheduler 'x'") as raised:
        ask(made(plugin("xx")), "x")
    assert raised.value.hint is not None


def test_a_program_registers_a_name_once(made: Any) -> None:
    it = made()
    it.register("c", 3)
    it.register("c", 3)
    assert it["c"] == 3
    with pytest.raises(InputError, match=r"the scheduler 'c' already exists"):
        it.register("c", 4)


def test_another_package_adds_an_entry(made: Any) -> None:
    it = made(plugin("mine"))
    assert (it.names(), it.own()) == (["a", "b", "mine"], ["a", "b"])
    with pytest.raises(InputError):
        it["mine"]  # a look-up finds what has been found
    assert it.take("mine") is it["mine"] is it.working()["mine"]
    assert it["mine"].__name__ == "MinRtt"
    assert it.origin("mine") == plugin("mine")
    assert it.origin("a") is None
    assert it.own() == ["a", "b"]


def test_ours_is_not_imported_to_see_that_it_is_there(made: Any) -> None:
    it = made()
    it.check("a")
    assert it.usable() == ["a", "b"]
    assert isinstance(it._entries["a"], str)


def test_nothing_is_imported_before_its_name_is_asked_for(made: Any) -> None:
    it = made(plugin("mine"), plugin("bad", "nowhere:Bad"))
    assert it.names() == ["a", "b", "bad", "mine"]
    it.find("mine")
    assert sorted(it.working()) == ["a", "b", "mine"]
    (error,) = it.broken()
    assert str(error) == (
        "theirs 1.2, entry point 'bad' of testbed.schedulers: "
        "ModuleNotFoundError: No module named 'nowhere'"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("testbed.errors:Nothing", "AttributeError: module 'testbed.errors' has no attribute"),
        ("not a place", "ValueError: invalid format"),
        ("testbed.hints:difflib", "cannot make a scheduler: it is not callable"),
        (
            "testbed.stack.mptcp.scheduler.base:Candidate",
            "'Candidate' is not a scheduler: it lacks",
        ),
    ],
)
def test_what_cannot_be_used_is_named(made: Any, value: str, message: str) -> None:
    it = made(plugin("bad", value), accept=making("scheduler", Scheduler))
    for _ in range(2):
        with pytest.raises(InputError) as raised:
            it.find("bad")
        said = str(raised.value)
        assert said.startswith("theirs 1.2, entry point 'bad' of testbed.schedulers: ")
        assert message in said
        assert "\n" not in said


def test_a_name_of_ours_stays_ours_and_the_clash_is_told(made: Any) -> None:
    it = made(plugin("b"))
    for _ in range(2):
        with pytest.raises(InputError, match=r"theirs 1.2, .*a scheduler of this name already"):
            it.find("b")
    assert (it["b"], it.take("b"), it.working()["b"], len(it.broken())) == (2, 2, 2, 1)


def test_a_name_that_two_packages_add_is_neither_ones(made: Any) -> None:
    it = made(plugin("mine"), plugin("mine", distribution="others"))
    with pytest.raises(InputError, match=r"theirs 1.2, .*: others 1.2 also adds a scheduler"):
        it.find("mine")
    assert (sorted(it.working()), len(it.broken())) == (["a", "b"], 1)
