"""The timer descriptor."""

from __future__ import annotations

import contextlib
import select
import time

import pytest

from testbed.libc import Timer


@pytest.fixture
def timer():
    with contextlib.closing(Timer()) as timer:
        yield timer


def has_input(timer, timeout_s=0.0):
    return bool(select.select([timer], [], [], timeout_s)[0])


def test_it_has_input_from_its_moment_on(timer):
    due = time.monotonic_ns() + 1_000_000
    timer.set(due)
    assert has_input(timer, 10)
    assert time.monotonic_ns() >= due


def test_a_moment_that_has_passed_is_now(timer):
    for moment in (time.monotonic_ns() - 1, 1, 0):
        timer.set(moment)
        assert has_input(timer, 10)


def test_never_takes_the_input_away(timer):
    timer.set(1)
    assert has_input(timer, 10)
    timer.set(None)
    assert not has_input(timer)


def test_a_later_moment_takes_the_input_away(timer):
    timer.set(1)
    assert has_input(timer, 10)
    timer.set(time.monotonic_ns() + 3600 * 10**9)
    assert not has_input(timer)
