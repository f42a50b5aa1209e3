"""Files that an experiment names: traces and pages."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.experiment import files
from tests.experiment_text import EXPERIMENT, TOPOLOGY, scenarios


def test_traces_lie_beside_the_experiment(read, tmp_path):
    (tmp_path / "slow.trace").write_text("1\n2\n3\n")
    experiment = read(
        EXPERIMENT
        + "cases: {slow: {links.lte.rate: none, links.lte.trace: slow.trace}}\n"
        + "events: [{at: 1s, link: lte, set: {rate: none, trace: slow.trace}}]\n"
    )
    assert experiment.spec.cases["slow"]["links.lte.trace"] == str(tmp_path / "slow.trace")
    assert experiment.spec.events[0].set["trace"] == str(tmp_path / "slow.trace")


def test_traces_of_a_topology_written_out_lie_beside_the_experiment(read, tmp_path):
    (tmp_path / "slow.trace").write_text("1\n2\n3\n")
    inline = "topology:\n" + "".join(f"  {line}\n" for line in TOPOLOGY.splitlines())
    inline = inline.replace("rate: 30mbit", "trace: slow.trace") + EXPERIMENT.partition("\n")[2]
    lte = scenarios(read(inline))[0].topology.link("lte")
    assert lte.toward_a.trace == str(tmp_path / "slow.trace")
    with pytest.raises(InputError, match=r"try.yaml:5: topology.links.lte.netem: .*no.trace"):
        read(inline.replace("slow.trace", "no.trace"))


def test_a_trace_of_the_command_line_lies_where_it_is_called(read, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/slow.trace").write_text("1\n2\n3\n")
    monkeypatch.chdir(tmp_path / "here")
    changes = [("links.lte.rate", "none"), ("links.lte.trace", "slow.trace")]
    lte = scenarios(read(values=changes))[0].topology.link("lte")
    assert lte.toward_a.trace == str(tmp_path / "here/slow.trace")
    with pytest.raises(InputError, match=r"^--set links.lte.trace: .*no.trace: the trace cannot"):
        read(values=[("links.lte.trace", "no.trace")])


PAGE = "objects: [{name: a, size: 1KB}]\n"


WEB = "topology: topology.yaml\nworkload: {kind: web, from: client, to: server, page: page.yaml}\n"


def test_pages_lie_beside_the_experiment(read, tmp_path):
    for name in ("page.yaml", "other.yaml"):
        (tmp_path / name).write_text(PAGE)
    experiment = read(WEB + "matrix: {workload.page: [page.yaml, other.yaml]}\n")
    paths = [str(tmp_path / name) for name in ("page.yaml", "other.yaml")]
    assert experiment.spec.matrix["workload.page"] == paths
    assert {it.flows[0].flow.workload.page for it in scenarios(experiment)} == {*paths}
    assert sorted(files.named(experiment.raw)) == sorted(paths)


def test_claims_name_the_files_of_the_matrix(read, tmp_path):
    for name in ("page.yaml", "other.yaml"):
        (tmp_path / name).write_text(PAGE)
    experiment = read(
        WEB + "stacks: [tcp]\nmatrix: {workload.page: [page.yaml, other.yaml]}\n"
        "expect:\n"
        "- {metric: pages, stack: tcp, where: {workload.page: page.yaml}, at_least: 1}\n"
        "- metric: pages\n"
        "  stack: tcp\n"
        "  relative_to: {stack: tcp, where: {workload.page: other.yaml}}\n"
        "  at_least: 1\n"
    )
    first, second = experiment.spec.expect
    assert first.where == {"workload.page": str(tmp_path / "page.yaml")}
    assert second.relative_to.where == {"workload.page": str(tmp_path / "other.yaml")}


def test_flows_and_cases_name_pages(read, tmp_path):
    (tmp_path / "page.yaml").write_text(PAGE)
    flow = "{kind: web, from: client, to: server, page: page.yaml}"
    experiment = read(
        f"topology: topology.yaml\nflows: {{one: {flow}, two: {flow}}}\n"
        "cases: {usual: {flows.one.page: page.yaml}}\n"
    )
    path = str(tmp_path / "page.yaml")
    assert {it.page for it in experiment.spec.flows.values()} == {path}
    assert experiment.spec.cases["usual"]["flows.one.page"] == path
    assert files.named(experiment.raw) == [path]


def test_a_page_of_the_command_line_lies_where_it_is_called(read, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "page.yaml").write_text(PAGE)
    monkeypatch.chdir(tmp_path / "here")
    experiment = read(WEB, values=[("workload.page", "page.yaml")])
    assert experiment.spec.workload.page == str(tmp_path / "here" / "page.yaml")
    with pytest.raises(InputError, match=r"^--set workload.page: .*no.yaml: cannot be read"):
        read(WEB, values=[("workload.page", "no.yaml")])


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (None, r"try.yaml:2: workload.page: .*page.yaml: cannot be read"),
        (
            "objects: [{name: a, size: 1KB, after: [b]}]",
            r"try.yaml:2: .*page.yaml:1: objects\[0\].after: there is no object 'b'; known: a$",
        ),
    ],
)
def test_a_page_that_is_wrong_is_named_with_file_and_line(read, tmp_path, page, message):
    if page is not None:
        (tmp_path / "page.yaml").write_text(page)
    with pytest.raises(InputError, match=message):
        read(WEB)


def test_all_mistakes_of_all_files_are_told_at_once(read, tmp_path):
    wrong = "{name: a, size: 1KB, after: [b]}"
    (tmp_path / "page.yaml").write_text(f"objects: [{wrong}, {wrong}]")
    matrix = "matrix: {links.wifi.netem.trace: [no.csv, nor.csv]}\n"
    with pytest.raises(InputError) as told:
        read(WEB + matrix)
    assert [each.path for each in told.value.every] == [
        *['matrix."links.wifi.netem.trace"'] * 2,
        *["workload.page"] * 2,
    ]
