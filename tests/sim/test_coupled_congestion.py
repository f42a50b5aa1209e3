"""The goals of the coupled controls, over ten seeds: RFC 6356's goals, and their papers'.

Every number of segments is one of ten worlds added up, so no claim hangs on one seed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import Assignment, venue
from testbed.results.model import Status
from testbed.stack.tcp.congestion import CONTROLS
from testbed.stack.tcp.congestion.control import Group
from tests.links import MS, MSS, Link, Subflow, World

LINKED = ["lia", "olia", "balia"]
COUPLED = ["balia", "coupled", "ewtcp", "lia", "olia", "wvegas"]
SEEDS = range(10)


def jain(*amounts: int) -> float:
    return sum(amounts) ** 2 / (len(amounts) * sum(amount**2 for amount in amounts))


def progress(world: World, seconds: float, *flows: Sequence[Subflow]) -> list[list[int]]:
    """Return what each path of each flow delivers in the next seconds."""
    before = [[path.delivered for path in flow] for flow in flows]
    world.run(seconds)
    return [
        [path.delivered - was for path, was in zip(flow, old, strict=True)]
        for flow, old in zip(flows, before, strict=True)
    ]


@functools.cache
def shared(name: str, seed: int) -> tuple[int, int]:
    """Return what a flow with two paths and a Reno deliver over one bottleneck."""
    world = World(seed)
    link = Link(400, 50 * MS, 40, 0.001)
    flow, rival = world.flow(name, link, link), world.flow("reno", link)
    world.run(10)
    mine, other = progress(world, 30, flow, rival)
    return sum(mine), sum(other)


@pytest.mark.parametrize("name", LINKED)
def test_goal_2_two_subflows_at_a_bottleneck_take_little_more_than_one_connection(
    name: str,
) -> None:
    worlds = [shared(name, seed) for seed in SEEDS]
    assert sum(jain(*world) for world in worlds) / len(worlds) > 0.95
    assert sum(mine for mine, _ in worlds) < 0.6 * sum(map(sum, worlds))


@pytest.mark.parametrize("name", ["reno", "cubic"])
def test_without_coupling_two_subflows_take_two_thirds(name: str) -> None:
    worlds = [shared(name, seed) for seed in SEEDS]
    assert sum(jain(*world) for world in worlds) / len(worlds) < 0.9
    assert sum(mine for mine, _ in worlds) > 0.65 * sum(map(sum, worlds))
    assert min(mine / (mine + other) for mine, other in worlds) > 0.6


@functools.cache
def contended(name: str, seed: int, *, alone: bool = False) -> int:
    """Return what a flow gets of a fast and a slow path that it shares with a Reno each."""
    world = World(seed)
    fast, slow = Link(400, 50 * MS, 40, 0.001), Link(100, 150 * MS, 30, 0.001)
    flow = world.flow(name, fast) if alone else world.flow(name, fast, slow)
    world.flow("reno", fast)
    world.flow("reno", slow)
    world.run(10)
    return sum(progress(world, 20, flow)[0])


@pytest.mark.parametrize("name", LINKED)
def test_goal_1_as_fast_as_one_connection_on_the_best_path(name: str) -> None:
    single = sum(contended("reno", seed, alone=True) for seed in SEEDS)
    assert sum(contended(name, seed) for seed in SEEDS) >= single


@functools.cache
def lossy(name: str, seed: int, *, alone: bool = False) -> int:
    """Return what a flow gets of paths whose losses do not depend on it (NSDI 2011, figure 7)."""
    world = World(seed)
    near, far = Link(4000, 40 * MS, 1000, 0.004), Link(4000, 160 * MS, 1000, 0.002)
    flow = world.flow(name, near) if alone else world.flow(name, near, far)
    world.run(5)
    return sum(progress(world, 20, flow)[0])


@pytest.mark.parametrize("name", LINKED)
def test_goal_1_holds_where_earlier_controls_fail_it(name: str) -> None:
    """They go for the path with fewer losses, or share out, though the other path is nearer.

    The formulas give 1.0 of one connection if windows stand still; as they swing, it is less.
    """
    single = sum(lossy("reno", seed, alone=True) for seed in SEEDS)
    assert sum(lossy(name, seed) for seed in SEEDS) > 0.8 * single
    for other in ("ewtcp", "coupled"):
        assert sum(lossy(other, seed) for seed in SEEDS) < 0.75 * single


@functools.cache
def crowded(name: str, seed: int, rivals: int) -> tuple[int, int, int]:
    """Return what a flow gets of a free and of a crowded path, and what the rivals get there."""
    world = World(seed)
    free, crowd = (Link(400, 50 * MS, 40, 0.001) for _ in range(2))
    flow = world.flow(name, free, crowd)
    others = [path for _ in range(rivals) for path in world.flow("reno", crowd)]
    world.run(10)
    mine, theirs = progress(world, 20, flow, others)
    return mine[0], mine[1], sum(theirs)


def over_seeds(run: Callable[[int], tuple[int, ...]]) -> list[int]:
    return [sum(amounts) for amounts in zip(*map(run, SEEDS), strict=True)]


@pytest.mark.parametrize("name", LINKED)
def test_goal_3_traffic_leaves_the_crowded_path(name: str) -> None:
    free, crowd, _ = over_seeds(lambda seed: crowded(name, seed, 3))
    _, uncoupled, _ = over_seeds(lambda seed: crowded("reno", seed, 3))
    assert crowd < (0.85 if name == "lia" else 0.7) * uncoupled
    assert free > 0.9 * 400 * 20 * len(SEEDS)


def test_olia_leaves_more_to_a_rival_than_lia_and_does_not_pay_for_it() -> None:
    """Khalili et al., scenario C: one path of its own, one shared with a TCP connection."""
    *mine, rival = over_seeds(lambda seed: crowded("olia", seed, 3))
    *lias, lias_rival = over_seeds(lambda seed: crowded("lia", seed, 3))
    assert rival > 1.03 * lias_rival
    assert sum(mine) > 0.9 * sum(lias)


def test_ewtcp_is_fair_but_moves_less_than_linked_increases() -> None:
    worlds = [shared("ewtcp", seed) for seed in SEEDS]
    assert sum(jain(*world) for world in worlds) / len(worlds) > 0.95
    _, crowd, _ = over_seeds(lambda seed: crowded("ewtcp", seed, 3))
    for name in LINKED:
        assert crowd > 1.1 * over_seeds(lambda seed, name=name: crowded(name, seed, 3))[1]


def regained(name: str, seed: int) -> int:
    """Return what a flow gets of a path in the second after five rivals have left."""
    world = World(seed)
    links = [Link(1600, 10 * MS, 40) for _ in range(2)]
    flow = world.flow(name, *links)
    world.run(3)
    rivals = [world.flow("reno", links[1])[0] for _ in range(5)]
    world.run(10)
    for rival in rivals:
        rival.open = False
    return progress(world, 1, flow)[0][1]


def test_balia_and_olia_are_quicker_to_take_what_becomes_free_than_a_full_coupling() -> None:
    """Peng et al., section VI: the fully coupled control sees nothing on a path it has left."""
    slow, balia, olia = (
        sum(regained(name, seed) for seed in range(5)) for name in ("coupled", "balia", "olia")
    )
    assert min(balia, olia) > 1.3 * slow


def test_the_fully_coupled_control_all_but_leaves_the_crowded_path() -> None:
    _, crowd, _ = over_seeds(lambda seed: crowded("coupled", seed, 3))
    assert crowd < 0.5 * over_seeds(lambda seed: crowded("lia", seed, 3))[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_wvegas_moves_traffic_before_anything_is_lost(seed: int) -> None:
    world = World(seed)
    links = [Link(400, 50 * MS, 200) for _ in range(2)]
    flow = world.flow("wvegas", *links)
    world.run(10)
    [[first, second]] = progress(world, 5, flow)
    assert min(first, second) > 0.95 * 400 * 5
    rivals = [world.flow("wvegas", links[1])[0] for _ in range(2)]
    world.run(10)
    [[first, second], others] = progress(world, 5, flow, rivals)
    assert first > 0.95 * 400 * 5
    assert second < 0.25 * 400 * 5
    assert sum(others) > 0.7 * 400 * 5
    assert [link.dropped for link in links] == [0, 0]


@pytest.mark.parametrize("name", [name for name in COUPLED if name != "wvegas"])
def test_alone_a_coupled_control_is_reno(name: str) -> None:
    def grown(name: str) -> tuple[int, int]:
        world = World(1)
        [path] = world.flow(name, Link(400, 50 * MS, 40))
        world.run(20)
        return path.delivered, path.link.dropped

    (mine, dropped), (renos, renos_dropped) = grown(name), grown("reno")
    assert mine == pytest.approx(renos, rel=0.02)
    assert dropped == pytest.approx(renos_dropped, abs=3)


@pytest.mark.parametrize("name", COUPLED)
def test_a_path_that_is_gone_does_not_count(name: str) -> None:
    """A path that has not carried data yet, such as a backup, does not count either."""
    world = World(1)
    links = [Link(400, 50 * MS, 40) for _ in range(2)]
    flow = world.flow(name, *links)
    world.run(5)
    control = flow[0].control
    assert len(control.paths(world.now)) == 2  # type: ignore[attr-defined]
    flow[1].open = False
    world.run(3)
    assert control.paths(world.now) == [control]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COUPLED)
def test_the_window_stays_above_its_least(name: str) -> None:
    control = CONTROLS[name](Group())
    control.start(MSS, 10)
    for number in range(20):
        control.on_loss(control.window, number)
    assert control.window in (MSS, 2 * MSS)
    control.on_timeout(MSS, 21, again=False)
    assert control.window == MSS
    control.on_undo()
    assert control.window >= MSS


def test_a_reduction_of_olia_that_was_for_nothing_is_forgotten() -> None:
    world = World(1)
    [path] = world.flow("olia", Link(400, 50 * MS, 40))
    world.run(1)
    control = path.control
    before = control.window, control.quality  # type: ignore[attr-defined]
    control.on_loss(control.window, world.now)
    assert control.window < before[0]
    control.on_undo()
    assert (control.window, control.quality) == before  # type: ignore[attr-defined]


def test_balia_takes_off_a_half_on_the_fastest_path_and_three_quarters_on_a_slow_one() -> None:
    world = World(1)
    flow = world.flow("balia", Link(400, 50 * MS, 40), Link(40, 150 * MS, 40))
    world.run(8)
    fast, slow = (path.control for path in flow)
    for control, part in ((fast, 0.5), (slow, 0.25)):
        before = control.window
        control.on_loss(before, world.now)
        assert control.threshold == pytest.approx(part * before, abs=MSS)


TRY = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 10mbit, delay: 5ms}}
    lte: {between: [client, server], netem: {rate: 10mbit, delay: 15ms}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 100KB}
repetitions: 1
matrix: {stack.congestion: [NAMES]}
"""


def test_each_is_an_axis_of_an_experiment_and_what_ran_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "try.yaml").write_text(TRY.replace("NAMES", ", ".join(COUPLED)))
    experiment = load(tmp_path / "try.yaml", Overrides(machine="sim"))
    used = {}
    for run in runner.plan(experiment):
        record = (
            venue("sim")
            .run_once(
                Assignment(
                    spec=experiment.spec,
                    scenario=experiment.scenario(run.cell),
                    planned=run,
                    directory=tmp_path,
                    on_progress=lambda _: None,
                )
            )
            .record
        )
        assert (record.status, record.reason) == (Status.OK, None)
        [stack] = record.stacks.values()
        used[run.cell.parameters["stack.congestion"]] = stack.used["source"]["congestion"]
    assert used == {name: name for name in COUPLED}
