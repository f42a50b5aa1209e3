"""Permitted and forbidden differences between two sides."""

from __future__ import annotations

import msgspec
import pytest

from testbed.analysis.likeness import check, differences, refuse
from testbed.errors import InputError
from testbed.results.environment import Checkout, Cpu
from tests.unit.analysis.sides import ENVIRONMENT, cell, side

CELL = cell(metrics={"goodput": [1.0]})
ELSEWHERE = msgspec.structs.replace(
    ENVIRONMENT,
    checkout=Checkout(commit="b" * 40, dirty=True),
    cpu=Cpu(model="another", count=2),
    memory=2 << 30,
)


def test_the_same_is_the_same():
    assert differences(side("a", CELL), side("b", CELL)) == {}


def test_every_fact_is_named_with_both_values():
    found = differences(side("a", CELL), side("b", CELL, environment=ELSEWHERE))
    assert found == {
        "checkout": [f"checkout.commit: {'a' * 40}, {'b' * 40}", "checkout.dirty: False, True"],
        "cpu": ["cpu.model: a processor, another"],
        "memory": [f"memory: {1 << 30}, {2 << 30}"],
    }


@pytest.mark.parametrize(
    ("machines", "expected"),
    [
        (("sim", "sim"), set()),
        (("uml:7.3+virtual-time", "uml:7.3+virtual-time"), {"kernel"}),
        (("uml:7.3+virtual-time", "sim"), {"machine"}),
    ],
)
def test_what_computes_a_virtual_clock_does_not_matter(machines, expected):
    newer = msgspec.structs.replace(ENVIRONMENT.kernel, release="7.3")
    environments = (
        msgspec.structs.replace(ENVIRONMENT, machine=machines[0]),
        msgspec.structs.replace(ELSEWHERE, machine=machines[1], kernel=newer),
    )
    sides = [side("a", CELL, environment=it, deterministic=True) for it in environments]
    assert set(differences(*sides)) == expected


def test_another_experiment_is_refused_with_the_places_that_differ():
    base = side("a", CELL, spec={"workload": {"size": "1MB"}, "repetitions": 5, "seed": 1})
    more = side("b", CELL, spec={"workload": {"size": "1MB"}, "repetitions": 9, "seed": 2})
    larger = side("b", CELL, spec={"workload": {"size": "2MB"}, "repetitions": 5, "seed": 1})
    refuse(base, more, frozenset())
    with pytest.raises(
        InputError, match=r"differ: workload.size: 1MB, 2MB; add --across experiment"
    ):
        refuse(base, larger, frozenset({"environment"}))
    refuse(base, larger, frozenset({"experiment"}))


def test_on_a_virtual_clock_another_seed_is_another_experiment():
    sides = [
        side(name, CELL, spec={"seed": seed}, deterministic=True)
        for name, seed in (("a", 1), ("b", 2))
    ]
    assert differences(*sides) == {"experiment": ["seed: 1, 2"]}


def test_a_fact_that_there_is_not_is_refused():
    check({"kernel", "environment", "experiment"}, side("a", CELL))
    with pytest.raises(InputError, match="--across colour: there is no such fact; environment"):
        check({"colour"}, side("a", CELL))
