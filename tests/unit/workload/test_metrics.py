"""The registry of metrics, and quantiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.workload.metrics import METRICS, quantiles


def test_every_metric_has_a_unit_and_a_definition():
    assert all(metric.unit and metric.definition for metric in METRICS.values())


@pytest.mark.parametrize("name", ["latency", "block_delay"])
def test_quantiles_have_registered_names(name):
    assert quantiles(name, [1]).keys() <= METRICS.keys()


def test_quantiles_of_one_to_a_hundred():
    found = quantiles("latency", [value * 10**9 for value in range(100, 0, -1)])
    assert found == {"latency_p50": 50.0, "latency_p99": 99.0, "latency_max": 100.0}


def test_nothing_has_no_quantiles():
    assert quantiles("latency", []) == {}


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_a_quantile_is_a_value_that_enough_do_not_exceed(values):
    found = quantiles("latency", values)
    for name, share in (("latency_p50", 0.5), ("latency_p99", 0.99), ("latency_max", 1.0)):
        quantile = found[name]
        assert quantile in {value / 1e9 for value in values}
        assert sum(value / 1e9 <= quantile for value in values) >= share * len(values)
