"""Schedulers and path managers of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from testbed import plugins
from testbed.errors import InputError
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.registry import Registry


def test_entry_points_are_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry[object]("scheduler", {})
    found = EntryPoint("mine", "testbed.stack.mptcp.scheduler.minrtt:MinRtt", "testbed.schedulers")
    monkeypatch.setattr(plugins, "GROUPS", {"testbed.schedulers": registry})
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [found] if group else [])
    plugins.load.cache_clear()
    plugins.load()
    plugins.load()
    assert registry.names() == ["mine"]
    assert registry["mine"] is SCHEDULERS["minrtt"]
    plugins.load.cache_clear()


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry[object]("scheduler", {"mine": object()})
    found = EntryPoint("mine", "testbed.stack.mptcp.scheduler.minrtt:MinRtt", "testbed.schedulers")
    monkeypatch.setattr(plugins, "GROUPS", {"testbed.schedulers": registry})
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [found] if group else [])
    plugins.load.cache_clear()
    with pytest.raises(InputError, match="mine"):
        plugins.load()
    plugins.load.cache_clear()
