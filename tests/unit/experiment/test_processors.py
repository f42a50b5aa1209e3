"""Runs that measured emulated processors instead of the network."""

from __future__ import annotations

import pytest

from testbed.experiment.processors import doubt
from testbed.machine.model import EMULATED


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setenv(EMULATED, "1")


@pytest.mark.parametrize(
    ("busy", "cpu_source_s", "who"),
    [
        (0.5, 5.0, None),
        (0.84, 8.4, None),
        (0.85, 5.0, "the emulated processors was busy 85% of the time"),
        (0.5, 9.5, "the emulated processor of the source was busy 95% of the time"),
    ],
)
def test_emulated_processors_without_rest_are_a_reason(emulated, busy, cpu_source_s, who):
    metrics = {"duration": 10.0, "cpu_source": cpu_source_s, "cpu_target": 1.0}
    said = doubt(busy, metrics)
    assert said is None if who is None else said.startswith(who)


def test_programs_that_tell_no_processor_time_are_judged_by_all_processors(emulated):
    assert doubt(0.5, {"goodput": 1e6}) is None
    assert doubt(0.9, {}) is not None


def test_real_processors_may_be_what_is_measured(monkeypatch):
    monkeypatch.delenv(EMULATED, raising=False)
    assert doubt(1.0, {"duration": 1.0, "cpu_source": 1.0}) is None
