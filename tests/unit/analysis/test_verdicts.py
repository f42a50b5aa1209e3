"""Claims and verdicts."""

from __future__ import annotations

import msgspec
import pytest

from testbed import document
from testbed.analysis.samples import Samples
from testbed.analysis.verdicts import Verdict, evaluate, unjudged
from testbed.errors import InputError
from testbed.experiment.asked import asked
from testbed.experiment.spec import ExperimentSpec

TIGHT = {10.0: [9.9, 10.0, 10.1], 15.0: [14.9, 15.0, 15.1], 25.0: [24.9, 25.0, 25.1]}


def experiment(expect, matrix="{}", stacks="[tcp, mptcp]"):
    written = document.loads(
        f"""
topology: unused.yaml
stacks: {stacks}
workload: {{kind: bulk, from: client, to: server, size: 1MB}}
matrix: {matrix}
expect: [{expect}]
""",
        ExperimentSpec,
        "try.yaml",
    )
    return asked("try", written.value)


def verdicts(claims, samples):
    return [it.verdict for it in evaluate(claims, samples)]


def goodputs(asked, *lists):
    """Return samples: a list for each cell, in the order of the cells."""
    cells = asked.cells[: len(lists)]
    return Samples(
        {it.identity: {"goodput": values} for it, values in zip(cells, lists, strict=True)}
    )


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ("at_least: 1.4", Verdict.PASS),
        ("at_least: 1.5", Verdict.INCONCLUSIVE),
        ("at_least: 1.6", Verdict.REGRESSED),
        ("at_most: 1.6", Verdict.PASS),
        ("at_most: 1.5", Verdict.INCONCLUSIVE),
        ("at_most: 1.4", Verdict.REGRESSED),
        ("at_least: 1.4, at_most: 1.6", Verdict.PASS),
        ("at_least: 1.1, at_most: 1.2", Verdict.REGRESSED),
    ],
)
def test_the_whole_interval_decides(bounds, verdict):
    text = f"{{metric: goodput, stack: mptcp, relative_to: tcp, {bounds}}}"
    claims = experiment(text)
    assert verdicts(claims, goodputs(claims, TIGHT[10.0], TIGHT[15.0])) == [verdict]


def test_noise_is_no_regression():
    claims = experiment("{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.0}")
    noisy = goodputs(claims, [5.0, 10.0, 15.0], [4.0, 9.0, 15.5])
    assert verdicts(claims, noisy) == [Verdict.INCONCLUSIVE]


@pytest.mark.parametrize("lists", [[], [[], [15.0, 15.1]], [[0, 0], [1, 2]]])
def test_without_values_nothing_is_concluded(lists):
    claims = experiment("{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.4}")
    (result,) = evaluate(claims, goodputs(claims, *lists))
    assert (result.verdict, result.value) == (Verdict.INCONCLUSIVE, None)


def test_a_single_run_concludes_nothing_but_has_a_value():
    claims = experiment("{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.4}")
    (result,) = evaluate(claims, goodputs(claims, [10.0], [25.0]))
    assert (result.verdict, result.value, result.interval) == (Verdict.INCONCLUSIVE, 2.5, None)


def test_absolute_bounds_have_the_metrics_unit():
    claims = experiment("{metric: goodput, stack: tcp, at_least: 9mbit, at_most: 0.02gbit}")
    (result,) = evaluate(claims, goodputs(claims, [1e7, 1.1e7], []))
    assert (result.at_least, result.at_most, result.metric) == (9e6, 2e7, "goodput")
    assert result.verdict is Verdict.PASS
    claims = experiment("{metric: duration, stack: tcp, at_most: 1500ms}")
    (result,) = evaluate(claims, Samples({claims.cells[0].identity: {"duration": [1.0, 1.1]}}))
    assert (result.at_most, result.verdict) == (1.5, Verdict.PASS)


def test_a_claim_is_checked_in_every_cell_it_speaks_of():
    matrix = "{links.wifi.delay: [10ms, 40ms]}"
    text = "{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.4}"
    claims = experiment(text, matrix)
    samples = goodputs(claims, TIGHT[10.0], TIGHT[15.0], TIGHT[15.0], TIGHT[10.0])
    results = evaluate(claims, samples)
    assert [it.parameters["links.wifi.delay"] for it in results] == ["10ms", "40ms"]
    assert [it.verdict for it in results] == [Verdict.PASS, Verdict.REGRESSED]
    where = text.replace("at_least", "where: {links.wifi.delay: 40ms}, at_least")
    claims = experiment(where, matrix)
    assert verdicts(claims, samples) == [Verdict.REGRESSED]


SUM = """{metric: goodput, stack: mptcp, at_least: 0.9, relative_to: [
  {stack: tcp, where: {workload.via: wifi}}, {stack: tcp, where: {workload.via: lte}}]}"""


def test_several_selectors_are_added_up():
    claims = experiment(SUM, "{workload.via: [wifi, lte]}")
    samples = goodputs(claims, TIGHT[10.0], TIGHT[25.0], TIGHT[15.0], TIGHT[15.0])
    first, second = evaluate(claims, samples)
    assert first.value == pytest.approx(1.0)
    assert (first.verdict, second.verdict) == (Verdict.PASS, Verdict.REGRESSED)
    assert second.value == pytest.approx(0.6)


def test_a_selector_leaves_the_other_parameters_equal():
    matrix = "{links.wifi.delay: [10ms, 40ms], workload.via: [wifi, lte]}"
    claims = experiment(SUM, matrix)
    values = {("10ms", "tcp"): 10.0, ("40ms", "tcp"): 5.0, ("10ms", "mptcp"): 20.0}
    samples = goodputs(
        claims,
        *(
            [values.get((cell.parameters["links.wifi.delay"], cell.stack), 9.0)] * 3
            for cell in claims.cells
        ),
    )
    assert [it.value for it in evaluate(claims, samples)] == [1.0, 1.0, 0.9, 0.9]


def test_a_claim_about_runs_that_were_left_out_is_left_out():
    claims = experiment("{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.4}")
    left = msgspec.structs.replace(claims, stacks=("mptcp",), cells=claims.cells[1:])
    assert evaluate(left, goodputs(left, TIGHT[10.0])) == ()


CLAIM = "{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.4}"


def test_a_claim_about_runs_that_were_left_out_is_said_to_be():
    claims = experiment(CLAIM)
    left = msgspec.structs.replace(claims, stacks=("mptcp",), cells=claims.cells[1:])
    assert unjudged(left) == ("goodput of mptcp, relative to tcp, is at least 1.4",)
    assert unjudged(claims) == ()


@pytest.mark.parametrize(
    ("values", "verdict"), [((10.0, 25.0), Verdict.PASS), ((10.0, 11.0), Verdict.REGRESSED)]
)
def test_one_run_that_would_be_the_same_again_decides(values, verdict):
    claims = msgspec.structs.replace(experiment(CLAIM), deterministic=True)
    (result,) = evaluate(claims, goodputs(claims, *([value] for value in values)))
    assert result.verdict is verdict
    assert result.interval.low == result.interval.high == result.value


def test_a_single_run_beside_several_decides_with_their_spread():
    claims = msgspec.structs.replace(experiment(CLAIM), deterministic=True)
    assert verdicts(claims, goodputs(claims, TIGHT[10.0], [25.0])) == [Verdict.PASS]


def busy(claims, share, metric="goodput"):
    cells = {it.identity: {metric: TIGHT[25.0 if it.stack == "mptcp" else 10.0]}
             for it in claims.cells}  # fmt: skip
    return Samples(cells, {claims.cells[0].identity: share})


def test_on_a_machine_without_rest_nothing_is_concluded():
    claims = experiment(CLAIM)
    assert verdicts(claims, busy(claims, 0.9)) == [Verdict.PASS]
    (result,) = evaluate(claims, busy(claims, 0.97))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "busy 97% of the time" in result.why


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("metric: goodput, at_least: 5", Verdict.PASS),
        ("metric: goodput, at_most: 50", Verdict.INCONCLUSIVE),
        ("metric: goodput, at_least: 500", Verdict.INCONCLUSIVE),
        ("metric: longest_gap, at_most: 50", Verdict.PASS),
        ("metric: longest_gap, at_least: 5", Verdict.INCONCLUSIVE),
    ],
)
def test_what_holds_though_the_machine_had_no_rest_holds(claim, verdict):
    claims = experiment(f"{{stack: tcp, {claim}}}")
    metric = claims.claims[0].metric
    assert verdicts(claims, busy(claims, 0.97, metric)) == [verdict]


def test_what_does_not_depend_on_rest_is_concluded():
    claims = experiment("{metric: cpu_per_gb, stack: mptcp, relative_to: tcp, at_least: 1.4}")
    assert verdicts(claims, busy(claims, 0.97, "cpu_per_gb")) == [Verdict.PASS]


def test_a_cell_is_not_held_against_itself():
    claims = experiment(
        "{metric: goodput, stack: tcp, at_least: 0.9, "
        "relative_to: {stack: tcp, where: {links.wifi.delay: 10ms}}}",
        "{links.wifi.delay: [10ms, 40ms]}",
        "[tcp]",
    )
    results = evaluate(claims, goodputs(claims, TIGHT[10.0], TIGHT[15.0]))
    assert [it.parameters["links.wifi.delay"] for it in results] == ["40ms"]


STACK_AXIS = ("{stack.scheduler: [ecf, blest]}", "[tcp, userspace]")


def test_a_stack_without_a_parameter_is_compared_in_its_one_cell():
    claims = experiment(
        "{metric: goodput, stack: userspace, relative_to: tcp, at_least: 1.4}", *STACK_AXIS
    )
    results = evaluate(claims, goodputs(claims, TIGHT[10.0], TIGHT[15.0], TIGHT[10.0]))
    assert [(it.parameters["stack.scheduler"], it.verdict) for it in results] == [
        ("ecf", Verdict.PASS),
        ("blest", Verdict.REGRESSED),
    ]


def test_values_of_a_stacks_own_parameter_are_compared():
    claims = experiment(
        "{metric: goodput, stack: userspace, where: {stack.scheduler: blest}, at_least: 1.4, "
        "relative_to: {stack: userspace, where: {stack.scheduler: ecf}}}",
        *STACK_AXIS,
    )
    samples = goodputs(claims, TIGHT[15.0], TIGHT[10.0], TIGHT[15.0])
    assert verdicts(claims, samples) == [Verdict.PASS]


def test_a_claim_can_be_about_a_flow_a_path_or_a_wire():
    claims = experiment("{metric: share, of: transfer@wifi, stack: tcp, at_most: 0.5}")
    (cell, _) = claims.cells
    samples = Samples({cell.identity: {"transfer@wifi.share": [0.3, 0.31]}})
    (result,) = evaluate(claims, samples)
    assert (result.verdict, result.metric) == (Verdict.PASS, "transfer@wifi.share")
    assert result.text == "transfer@wifi.share of tcp is at most 0.5"


def test_the_claim_reads_as_a_sentence():
    claims = experiment(SUM, "{workload.via: [wifi, lte]}")
    assert evaluate(claims, Samples({}))[0].text == (
        "goodput of mptcp, relative to tcp (workload.via = wifi) + tcp (workload.via = lte), "
        "is at least 0.9"
    )


MATRIX = "{links.wifi.delay: [1ms, 2ms, 3ms, 4ms]}"
SHARE = "{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.0, %s}"


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        ("in_at_least: 0.25", Verdict.INCONCLUSIVE),
        ("in_at_least: 1%", Verdict.INCONCLUSIVE),
        ("in_at_most: 100%", Verdict.PASS),
        ("in_at_least: 0%, in_at_most: 1.0", Verdict.PASS),
    ],
)
def test_the_share_of_cells_in_which_bounds_hold(share, verdict):
    """Three of four cells are as expected, which is weak evidence."""
    asked = experiment(SHARE % share, MATRIX)
    values = [x for mptcp in (2.0, 2.0, 2.0, 0.5) for x in ([1.0] * 2, [mptcp] * 2)]
    (check,) = evaluate(asked, goodputs(asked, *values))
    assert check.value == 0.75
    assert check.verdict == verdict
    assert check.metric is None


def test_a_share_of_all_cells_is_certain():
    asked = experiment(SHARE % "in_at_least: 90%", MATRIX)
    (check,) = evaluate(asked, goodputs(asked, *([[1.0] * 2, [2.0] * 2] * 4)))
    assert (check.value, check.verdict) == (1.0, Verdict.PASS)


def test_where_runs_are_the_same_again_the_share_of_all_cells_is_exact():
    asked = experiment(SHARE % "in_at_least: 70%", MATRIX)
    asked = msgspec.structs.replace(asked, deterministic=True)
    values = [x for mptcp in (2.0, 2.0, 2.0, 0.5) for x in ([1.0], [mptcp])]
    assert verdicts(asked, goodputs(asked, *values)) == [Verdict.PASS]
    (part,) = evaluate(asked, goodputs(asked, *values[:6]))
    assert part.text.endswith("of the cells (of 3 of 4)")


def test_the_best_of_several_is_compared_with():
    matrix = "{workload.via: [one, two]}"
    best = (
        "{metric: goodput, stack: mptcp, where: {workload.via: one}, best: true, relative_to: "
        "[{stack: tcp, where: {workload.via: one}}, {stack: tcp, where: {workload.via: two}}],"
        " at_least: 1.0}"
    )
    asked = experiment(best, matrix)
    (check,) = evaluate(asked, goodputs(asked, [4.0] * 2, [9.0] * 2, [6.0] * 2, [1.0] * 2))
    assert check.value == 1.5
    assert "relative to the best of tcp (workload.via = one) and tcp" in check.text


def test_the_best_of_times_is_the_shortest():
    matrix = "{workload.via: [one, two]}"
    best = (
        "{metric: duration, stack: mptcp, where: {workload.via: one}, best: true, relative_to: "
        "[{stack: tcp, where: {workload.via: one}}, {stack: tcp, where: {workload.via: two}}],"
        " at_most: 1.0}"
    )
    asked = experiment(best, matrix)
    values = ([4.0] * 2, [3.0] * 2, [6.0] * 2, [1.0] * 2)
    samples = Samples(
        {it.identity: {"duration": v} for it, v in zip(asked.cells, values, strict=True)}
    )
    assert evaluate(asked, samples)[0].value == 0.75


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best: true, at_least: 1", "'best' needs two or more selectors"),
        ("at_least: 1, in_at_least: 110%", "is not between 0% and 100%"),
        ("at_least: 1, in_at_least: 2", "2 is not a share"),
        ("at_least: 1, in_at_most: many", "write 90% or 0.9"),
    ],
)
def test_what_no_claim_can_say(text, message):
    with pytest.raises(InputError, match=message):
        experiment(f"{{metric: goodput, stack: mptcp, {text}}}")
