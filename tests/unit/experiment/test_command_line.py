"""Changes of an experiment by the command line, and errors in them."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from tests.experiment_text import EXPERIMENT, TOPOLOGY, scenarios


def test_overrides(read):
    experiment = read(
        stacks=["mptcp"],
        repetitions=2,
        seed=9,
        wire="emulator",
        values=[("links.wifi.loss", "1%"), ("workload.size", "64KB"), ("timeout", "5s")],
    )
    spec = experiment.spec
    assert (spec.stacks, spec.repetitions, spec.seed, spec.wire) == (("mptcp",), 2, 9, "emulator")
    assert spec.timeout_ns == 5_000_000_000
    assert scenarios(experiment)[0].topology.link("wifi").toward_a.loss.probability == 0.01
    assert scenarios(experiment)[0].flows[0].flow.workload.size == "64KB"


def test_an_override_of_a_parameter_leaves_it_one(read):
    text = EXPERIMENT + "matrix: {links.wifi.delay: [20ms, 40ms]}\n"
    experiment = read(text, values=[("links.wifi.delay", "5ms")])
    assert [cell.parameters for cell in experiment.cells] == [{"links.wifi.delay": "5ms"}] * 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("repetition", r"--set repetition: does not exist.*'repetitions'"),
        ("workload.sise", "unknown key"),
        ("links.wify.delay", "there is no 'wify'"),
        ("events[0].at", "does not exist"),
        ("", "--set : does not exist"),
    ],
)
def test_mistakes_on_the_command_line(read, path, message):
    with pytest.raises(InputError, match=message):
        read(values=[(path, "1")])


def test_a_case_on_the_command_line_has_a_name(read):
    with pytest.raises(InputError, match="--set case: does not exist"):
        read(EXPERIMENT + "cases: {far: {links.wifi.delay: 5ms}}\n", values=[("case", "[far]")])


AXES = "matrix: {links.wifi.delay: [1ms, 2ms], workload.size: [1MB]}\n"


FAR = "cases: {far: {links.wifi.delay: 5ms}}\n"


@pytest.mark.parametrize("more", [AXES, FAR])
def test_what_the_command_line_does_to_an_axis_is_blamed_on_it(read, more):
    with pytest.raises(InputError, match=r"^--set links.wifi.delay=quick: .*'quick' is not a time"):
        read(EXPERIMENT + more, values=[("links.wifi.delay", "quick")])


def test_what_is_wrong_in_another_axis_of_the_file_is_not(read):
    wrong = AXES.replace("2ms", "quick")
    with pytest.raises(InputError, match=r"try.yaml:\d+: matrix\..*: .*'quick' is not a time"):
        read(EXPERIMENT + wrong, values=[("workload.size", "2MB")])


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ([("matrix", "1"), ("links.wifi.delay", "1ms")], ""),
        ([("cases", "1"), ("links.wifi.delay", "1ms")], ""),
        ([("cases", "{far: 1}"), ("links.wifi.delay", "1ms")], FAR),
        ([("workload", "1"), ("workload.size", "1MB")], ""),
        ([("flows", "1"), ("flows.a.size", "1MB")], ""),
        ([("flows", "{a: 1}"), ("flows.a.size", "1MB")], ""),
    ],
)
def test_an_option_that_meets_what_another_made_is_named(read, values, more):
    with pytest.raises(
        InputError, match=f"^--set {values[-1][0]}: .* after earlier options, not a mapping"
    ):
        read(EXPERIMENT + more, values=values)


@pytest.mark.parametrize("path", ["links.wifi.mtu", "links", "topology"])
def test_what_the_command_line_does_to_a_topology_is_blamed_on_it(read, path):
    inline = "topology:\n" + "".join(f"  {line}\n" for line in TOPOLOGY.splitlines())
    with pytest.raises(InputError, match=f"^--set {path}=1: "):
        read(inline + EXPERIMENT.partition("\n")[2], values=[(path, "1")])
