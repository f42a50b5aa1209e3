"""How often a comparison is wrong, and what it finds, on noise that was recorded.

`data/noise_idle.json` holds how repetitions of a short transfer differed on an idle machine of two
cores; `data/noise_busy.json` is of a machine of the same kind whose cores others kept busy.
`scripts/record-noise` records both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from testbed.analysis.comparison import Comparison, Terms, compare
from testbed.analysis.samples import SATURATED
from testbed.analysis.verdicts import Verdict
from testbed.experiment.spec import REPETITIONS
from tests.unit.analysis.sides import cell, side

METRICS = ("goodput", "duration")  # the metrics of a bulk transfer
# Some seconds of computing; on a machine without rest they take long.
pytestmark = pytest.mark.timeout(600)
TERMS = Terms(metrics=METRICS)
STACKS = ("tcp", "mptcp", "userspace")
Chosen = Sequence[int]


class Noise(msgspec.Struct, frozen=True):
    """The values of repetitions, in their order, for each stack."""

    metrics: dict[str, dict[str, tuple[float, ...]]]
    busy: dict[str, tuple[float, ...]]

    @property
    def length(self) -> int:
        """How many repetitions there are."""
        return len(self.busy["tcp"])


def recorded(name: str) -> Noise:
    path = Path(__file__).with_name("data") / f"noise_{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Noise)


IDLE = recorded("idle")
BUSY = recorded("busy")


def taken(
    noise: Noise, name: str, chosen: Chosen, slower: str | None = None, *, busy: bool = False
) -> object:
    """Return a side of some recorded repetitions.

    :param slower: a stack whose transfers take longer by a tenth of their goodput.
    :param busy: tell of the processors, too.
    """
    cells = []
    for stack, metrics in noise.metrics.items():
        factors = {"goodput": 0.9, "duration": 1 / 0.9} if stack == slower else {}
        values = {
            each: [metrics[each][place] * factors.get(each, 1.0) for place in chosen]
            for each in METRICS
        }
        saturated = {"busy": noise.busy[stack][chosen[0]]} if busy else {}
        cells.append(cell(stack=stack, metrics=values, **saturated))
    return side(name, *cells)


def at_random(noise: Noise, generator: random.Random, size: int) -> tuple[Chosen, Chosen]:
    """Return repetitions for two sides: as where both were measured in turn."""
    both = generator.sample(range(noise.length), 2 * size)
    return both[:size], both[size:]


def in_two_rows(noise: Noise, generator: random.Random, size: int) -> tuple[Chosen, Chosen]:
    """Return repetitions for two sides, those of a side in a row, as in two folders."""
    while True:
        first, second = (generator.randrange(noise.length - size + 1) for _ in range(2))
        if abs(first - second) >= size:
            return range(first, first + size), range(second, second + size)


def held(noise: Noise, first: Chosen, second: Chosen, **how: object) -> Comparison:
    slower = how.pop("slower", None)
    new = taken(noise, "new", second, slower, **how)
    return compare(taken(noise, "base", first, **how), [new], TERMS)


def found(noise: Noise, stack: str, pairs: int = 100) -> float:
    """Return how often it is called regressed if one stack is a tenth slower, and only that one."""
    generator = random.Random(3)
    hits = 0
    for _ in range(pairs):
        pair = at_random(noise, generator, REPETITIONS)
        changes = held(noise, *pair, slower=stack).changes
        hits += any(it.stack == stack and it.verdict is Verdict.REGRESSED for it in changes)
    return hits / pairs


@pytest.mark.parametrize(("noise", "pairs"), [(IDLE, 1000), (BUSY, 200)], ids=["idle", "busy"])
def test_where_nothing_changed_one_pair_in_twenty_at_most_is_called_changed(
    noise: Noise, pairs: int
) -> None:
    generator = random.Random(1)
    chosen = (at_random(noise, generator, REPETITIONS) for _ in range(pairs))
    assert sum(held(noise, *pair).changed for pair in chosen) <= pairs / 20


def test_nor_is_it_where_one_folder_was_measured_after_the_other_on_an_idle_machine() -> None:
    generator = random.Random(1)
    pairs = (in_two_rows(IDLE, generator, REPETITIONS) for _ in range(200))
    assert sum(held(IDLE, *pair).changed for pair in pairs) <= 10


def test_processors_without_rest_decide_nothing() -> None:
    """In sequence, the other load of the machine changes: a test cannot know that."""
    generator = random.Random(1)
    pairs = [in_two_rows(BUSY, generator, REPETITIONS) for _ in range(100)]
    assert min(min(values) for values in BUSY.busy.values()) >= SATURATED
    assert sum(held(BUSY, *pair).changed for pair in pairs) > 5
    assert not any(held(BUSY, *pair, busy=True).changed for pair in pairs)


@pytest.mark.parametrize("stack", STACKS)
def test_a_tenth_less_is_found_nine_times_in_ten_with_the_default_repetitions(stack: str) -> None:
    assert found(IDLE, stack) >= 0.9


def test_where_it_is_not_found_the_comparison_says_so() -> None:
    """Our stack in Python, starved of processors: repetitions differ by more than a tenth."""
    assert found(BUSY, "userspace") < 0.9
    generator = random.Random(4)
    told = [
        change.detectable
        for _ in range(20)
        for change in held(BUSY, *at_random(BUSY, generator, REPETITIONS)).changes
        if change.stack == "userspace" and change.detectable is not None
    ]
    assert len(told) == 40
    assert min(told) > 0.1
