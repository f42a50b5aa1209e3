from __future__ import annotations

import statistics

import pytest

from testbed.wire.distribution import SCALE, table
from testbed.wire.options import Distribution

TABLES = [Distribution.NORMAL, Distribution.PARETO, Distribution.PARETONORMAL]


def test_uniform_has_no_table() -> None:
    assert table(Distribution.UNIFORM) is None


@pytest.mark.parametrize("distribution", TABLES)
def test_tables_have_the_kernels_format(distribution: Distribution) -> None:
    values = table(distribution)
    assert values is not None
    assert values.typecode == "h"
    assert values.itemsize == 2
    assert len(values) == 4096
    assert list(values) == sorted(values)  # an inverse distribution function never falls


def test_normal_has_its_quantiles() -> None:
    values = table(Distribution.NORMAL)
    assert values is not None
    assert abs(statistics.mean(values)) < 0.01 * SCALE
    assert statistics.pstdev(values) == pytest.approx(SCALE, rel=0.01)
    assert values[2048] == pytest.approx(0, abs=2)
    assert values[round(4096 * 0.8413)] == pytest.approx(SCALE, rel=0.01)


def test_pareto_is_iproute2s() -> None:
    values = table(Distribution.PARETO)
    assert values is not None
    # (u ** (-1/3) - 1.5) * 4/3 * 8192 for u = 1 and 1/2; cut off at the largest 16-bit number.
    assert values[0] == -5461
    assert values[2048] == -2622
    assert values[-1] == 32767


def test_paretonormal_lies_between() -> None:
    normal, pareto = table(Distribution.NORMAL), table(Distribution.PARETO)
    mixed = table(Distribution.PARETONORMAL)
    assert normal is not None
    assert pareto is not None
    assert mixed is not None
    for low, value, high in zip(
        map(min, normal, pareto), mixed, map(max, normal, pareto), strict=True
    ):
        assert low <= value <= high
