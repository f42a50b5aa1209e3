"""Names of what can be chosen."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.stack.registry import Registry


def test_names_and_entries() -> None:
    registry = Registry("scheduler", {"b": 2, "a": 1})
    registry.register("c", 3)
    assert registry.names() == ["a", "b", "c"]
    assert registry["c"] == 3


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match="no scheduler 'x'; there are a, b"):
        Registry("scheduler", {"b": 2, "a": 1})["x"]


def test_a_name_is_given_once() -> None:
    registry = Registry("scheduler", {"a": 1})
    registry.register("a", 1)
    with pytest.raises(InputError, match="there is a scheduler 'a' already"):
        registry.register("a", 2)
