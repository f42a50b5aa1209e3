"""Experiment files: what they become, and every mistake named by file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed import sysctls
from testbed.errors import InputError
from testbed.experiment import files, rehearsal
from testbed.experiment.load import load, recall, restore
from testbed.experiment.overrides import Overrides
from testbed.experiment.scenario import scenario
from testbed.results.model import ExperimentRecord

ROOT = Path(__file__).parents[3]
TOPOLOGY = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: rate 20mbit delay 10ms}
  lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
"""


def scenarios(experiment):
    """What the runs of each cell need."""
    return [experiment.scenario(cell) for cell in experiment.cells]


EXPERIMENT = """\
topology: topology.yaml
workload: {kind: bulk, from: client, to: server, size: 1MB}
"""


@pytest.fixture
def read(tmp_path):
    """Read an experiment given as text."""

    def read_text(text=EXPERIMENT, **overrides):
        (tmp_path / "topology.yaml").write_text(TOPOLOGY)
        (tmp_path / "try.yaml").write_text(text)
        return load(tmp_path / "try.yaml", Overrides(**overrides))

    return read_text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_experiment_can_be_read(path):
    experiment = load(path)
    assert experiment.spec.description
    # How many subflows there must be is a matter of the proof, not of a claim.
    assert experiment.spec.expect or path.stem == "mptcp_join"


MISTAKEN = """\
topology: topology.yaml
stacks: [userspace]
flows:
  f: {kind: bulk, from: client, to: servr, size: 1MB}
  g: {kind: stream, from: client, to: client, duration: 9s}
  h: {kind: stream, from: client, to: server, duration: 100s}
events:
  - {at: 1s, link: wifii, state: down}
  - {at: 90s, link: wifi, state: down}
  - {at: 2s, node: client, remove_address: {interface: wifi, address: 9.9.9.9/24}}
probes: [nstatt, tcp_inf]
expect:
  - {metric: f.goodputt, stack: userspac, at_least: 1.5}
"""


def test_all_mistakes_are_named_at_once(read):
    with pytest.raises(InputError) as caught:
        read(MISTAKEN)
    places = [f"{error.line} {error.path}" for error in caught.value.every]
    assert sorted(places, key=lambda place: int(place.split()[0])) == [
        "4 flows.f",
        "5 flows.g",
        "6 flows.h",
        "8 events[0]",
        "9 events[1]",
        "10 events[2]",
        "11 probes[0]",
        "11 probes[1]",
        "13 expect[0].metric",
        "13 expect[0]",
    ]


def test_all_mistakes_of_stacks_and_of_what_runs_on_them_are_named_at_once(read):
    text = EXPERIMENT.replace("to: server", "to: servr") + (
        "stacks:\n"
        "  - tpc\n"
        "  - {userspace: {schedular: ecf, mtu: 9, checksum: maybe}}\n"
        "  - userspace(scheduler=bleest, congestion=oliya)\n"
    )
    with pytest.raises(InputError) as caught:
        read(text)
    assert [error.line for error in caught.value.every] == [4, 5, 5, 5, 6, 6, 2]


def test_the_topology_and_the_stacks_are_checked_where_a_key_is_unknown(read):
    text = EXPERIMENT.replace(
        "topology: topology.yaml", "topology: {nodes: {a: {}}, links: {b: {between: [a, c]}}}"
    )
    with pytest.raises(InputError) as caught:
        read(text + "repetitons: 3\nstacks: [tpc]\n")
    assert sorted(error.line for error in caught.value.every) == [1, 3, 4]


def test_a_stack_that_cannot_be_read_hides_nothing_of_claims_matrix_and_events(read):
    text = EXPERIMENT + (
        "stacks: [tpc, mptcp]\n"
        "matrix: {links.wify.delay: [1ms], links.wifi.delay: [1ms, 1xs], stack.frob: [1],\n"
        "  stack.scheduler: [default]}\n"
        "events:\n"
        "  - {at: 1s, link: wifii, state: down}\n"
        "expect:\n"
        "  - {metric: goodputt, stack: tcp, at_least: 1.5}\n"
        "  - {metric: goodput, stack: tcp, at_least: 5, at_most: 3}\n"
    )
    with pytest.raises(InputError) as caught:
        read(text)
    found = sorted((error.line, error.path) for error in caught.value.every)
    assert [f"{line} {path}" for line, path in found] == [
        "3 stacks[0]",
        '4 matrix."links.wifi.delay"',
        '4 matrix."links.wify.delay"',
        '4 matrix."stack.frob"',
        "7 events[0]",
        "9 expect[0].metric",
        "10 expect[1]",
    ]


def test_what_does_not_fit_hides_nothing_of_other_flows_and_events(read):
    text = (
        "topology: topology.yaml\n"
        "repetitons: 3\n"
        "flows:\n"
        "  f: {kind: bulk, from: client, to: server, sise: 1MB}\n"
        "  g: {kind: bulk, from: client, to: servr, size: 1MB}\n"
        "events:\n"
        "  - {at: 1s, link: wifi, stat: down}\n"
        "  - {at: 1s, link: wifii, state: down}\n"
        "probes: [nstatt]\n"
    )
    with pytest.raises(InputError) as caught:
        read(text)
    assert sorted(f"{error.line} {error.path}" for error in caught.value.every) == [
        "2 repetitons",
        "4 flows.f.sise",
        "5 flows.g",
        "7 events[0].stat",
        "8 events[1]",
        "9 probes[0]",
    ]


def test_keys_that_fit_are_no_unknown_ones_beside_others_that_do_not(read):
    with pytest.raises(InputError) as caught:
        read(EXPERIMENT.replace(", size: 1MB", "") + "stacks: tcp\n")
    assert sorted((error.line, error.path) for error in caught.value.every) == [
        (2, "workload"),
        (3, "stacks"),
    ]


def test_a_misspelt_key_is_read_as_the_one_that_is_meant(read):
    text = EXPERIMENT.replace("size: 1MB", "duration: 90s") + (
        "timeuot: 100s\n"
        "stackz: [userspace, tpc]\n"
        "expect: [{metric: goodput, stack: userspace, at_least: 1mbit}]\n"
    )
    with pytest.raises(InputError) as caught:
        read(text)
    assert [(error.line, error.path) for error in caught.value.every] == [
        (3, "timeuot"),
        (4, "stackz"),
        (4, "stackz[1]"),
    ]


def test_a_wrong_value_or_path_of_the_matrix_is_named_once(read):
    text = EXPERIMENT + (
        "stacks: [userspace]\n"
        "matrix:\n"
        "  stack.scheduler: [minrtt, zzz]\n"
        "  workload.viax: [wifi, lte]\n"
    )
    with pytest.raises(InputError) as caught:
        read(text)
    assert [(error.line, error.path) for error in caught.value.every] == [
        (5, 'matrix."stack.scheduler"'),
        (6, 'matrix."workload.viax"'),
    ]


def test_where_no_stack_can_be_read_no_kernel_is_asked(read, tmp_path, monkeypatch):
    folder = tmp_path / "net/mptcp"
    folder.mkdir(parents=True)
    (folder / "scheduler").write_text("default")
    (folder / "available_schedulers").write_text("default\n")
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    with pytest.raises(InputError) as caught:
        read(EXPERIMENT + "stacks: [usrspace]\nmatrix: {stack.scheduler: [minrtt]}\n")
    assert [error.path for error in caught.value.every] == ["stacks[0]"]


def test_each_value_of_the_matrix_that_is_wrong_is_named_once(read):
    with pytest.raises(InputError) as caught:
        read(
            EXPERIMENT + "matrix:\n  links.wifi.delay: [1ms, 1xs, 2xs]\n  workload.size: [1MB, 0]\n"
        )
    said = [str(error) for error in caught.value.every]
    assert [error.line for error in caught.value.every] == [4, 4, 5]
    assert "1xs" in said[0]
    assert "2xs" in said[1]


def test_a_scheduler_that_the_kernel_does_not_have(read, tmp_path, monkeypatch):
    folder = tmp_path / "net/mptcp"
    folder.mkdir(parents=True)
    (folder / "scheduler").write_text("default")
    (folder / "available_schedulers").write_text("default\n")
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    text = EXPERIMENT + "stacks: [mptcp, mptcp(scheduler=ecf)]\n"
    with pytest.raises(InputError, match=r"try.yaml:3: stacks\[1\]: .*'ecf'.*have: default$"):
        read(text)
    with pytest.raises(InputError, match=r'try.yaml:4: matrix."stack.scheduler": .*\'blest\''):
        read(EXPERIMENT + "stacks: [mptcp]\nmatrix: {stack.scheduler: [default, blest]}\n")
    topology = TOPOLOGY.replace("\n", "\n  ").rstrip()
    inline = f"topology:\n  sysctls: {{net.mptcp.scheduler: blest}}\n  {topology}\n"
    with pytest.raises(InputError, match=r'try.yaml:2: topology.sysctls."net.mptcp.scheduler": '):
        read(EXPERIMENT.replace("topology: topology.yaml\n", inline))
    assert read(text, machine="uml:7.3").choices[1].options == {"scheduler": "ecf"}
    assert read(text + "machines: [uml:7.3]\n").cells
    assert read(text, elsewhere=True).cells


def test_a_folder_can_be_read_where_its_programs_are_not(read, monkeypatch):
    text = (
        "topology: topology.yaml\n"
        "stacks: [tcp]\n"
        "workload: {kind: command, from: client, to: server,\n"
        "  programs: [{node: client, argv: [true]}]}\n"
    ).replace("[true]", "['true']")
    experiment = read(text)
    record = ExperimentRecord(
        name="try", topology="topology", spec=experiment.raw, created_at="", version=""
    )
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="no program 'true'"):
        restore(record)
    assert recall(record).cells == experiment.cells


def test_all_mistakes_of_a_stack_of_the_command_line_are_named(read):
    with pytest.raises(InputError) as caught:
        read(stacks=["userspace(mtu=9, frob=1)"])
    assert [str(error).partition(": ")[0] for error in caught.value.every] == [
        "--stack userspace(mtu=9, frob=1)"
    ] * 2


def test_defaults(read):
    experiment = read()
    assert experiment.name == "try"
    assert experiment.topology == "topology"
    assert experiment.spec.stacks == ("tcp", "mptcp")
    assert "pcap" not in experiment.spec.probes
    assert {"wire", "mptcp_info", "nstat"} <= set(experiment.spec.probes)
    scenario = scenarios(experiment)[0]
    assert scenario.flows[0].subflows == 2
    assert scenario.captures == {}


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


def test_an_event_after_the_end_could_never_be_played(read):
    text = EXPERIMENT.replace("size: 1MB", "duration: 5s")
    assert read(text + "events: [{at: 4s, link: wifi, state: down}]\n").spec.events
    with pytest.raises(InputError, match=r"is at 5s, when the flows are over \(5s\)"):
        read(text + "events: [{at: 5s, link: wifi, state: down}]\n")


def test_an_endpoint_can_be_of_an_address_that_came_by_an_event(read):
    scenario = scenarios(
        read(
            EXPERIMENT
            + "events:\n"
            + "- {at: 1s, node: client, remove_address: {interface: lte, address: 10.0.2.1/24}}\n"
            + "- {at: 2s, node: client, add_address: {interface: lte, address: 10.0.2.9/24}}\n"
            + "- {at: 3s, node: client, add_endpoint: {interface: lte, flags: [subflow]}}\n"
        )
    )[0]
    lines = [str(operation) for action in scenario.timeline for operation in action.operations]
    assert "ip -n client route replace 10.0.2.0/24 dev lte src 10.0.2.9 table 1002" in lines
    assert any("endpoint add 10.0.2.9" in line for line in lines)


def test_a_large_matrix_is_not_tried_whole(read, monkeypatch):
    made = []
    monkeypatch.setattr(rehearsal, "scenario", lambda *args: made.append(args) or scenario(*args))
    values = list(range(1000, 1100))
    experiment = read(
        EXPERIMENT
        + f"matrix: {{links.wifi.rate: {values}, workload.size: {values}}}\n"
        + "repetitions: 5\n"
    )
    assert len(experiment.cells) == 20_000
    assert len(made) < 500


def test_a_matrix_changes_topology_and_workload(read):
    experiment = read(
        EXPERIMENT + "matrix: {links.wifi.delay: [20ms, 40ms], workload.via: [wifi, lte]}\n"
    )
    delays = [it.topology.link("wifi").toward_b.delay.delay_ns for it in scenarios(experiment)]
    assert delays == [20_000_000] * 4 + [40_000_000] * 4
    rates = {it.topology.link("wifi").toward_b.rate.bits_per_second for it in scenarios(experiment)}
    assert rates == {20_000_000}
    addresses = [it.flows[0].flow.address for it in scenarios(experiment)]
    assert addresses[0] == addresses[1] != addresses[2]


CASES = """
cases:
  near: {links.wifi.delay: 5ms}
  far: {links.wifi.delay: 50ms, links.wifi.rate: 5mbit}
"""


def test_cases_are_values_that_go_together(read):
    experiment = read(EXPERIMENT + CASES + "matrix: {workload.size: [1MB, 2MB]}\nstacks: [tcp]\n")
    assert [cell.parameters for cell in experiment.cells] == [
        {"case": case, "workload.size": size} for case in ("near", "far") for size in ("1MB", "2MB")
    ]
    wires = [it.topology.link("wifi").toward_b for it in scenarios(experiment)[::2]]
    assert [wire.delay.delay_ns for wire in wires] == [5_000_000, 50_000_000]
    assert [wire.rate.bits_per_second for wire in wires] == [20_000_000, 5_000_000]


def test_the_command_line_chooses_a_case_or_changes_what_cases_set(read):
    chosen = read(EXPERIMENT + CASES, values=[("case", "far")])
    assert {cell.parameters["case"] for cell in chosen.cells} == {"far"}
    changed = read(EXPERIMENT + CASES, values=[("links.wifi.delay", "7ms")])
    delays = {it.topology.link("wifi").toward_b.delay.delay_ns for it in scenarios(changed)}
    assert delays == {7_000_000}


def test_an_expectation_of_a_case(read):
    text = "expect: [{metric: goodput, stack: tcp, where: {case: %s}, at_least: 1}]\n"
    assert read(EXPERIMENT + CASES + text % "far").spec.expect[0].where == {"case": "far"}
    with pytest.raises(InputError, match="case never is 'fat'; did you mean 'far'"):
        read(EXPERIMENT + CASES + text % "fat")


def test_an_experiment_is_self_contained(read, tmp_path):
    experiment = read(EXPERIMENT + "matrix: {links.lte.rate: [1mbit, 2mbit]}\n", repetitions=3)
    (tmp_path / "topology.yaml").unlink()
    record = ExperimentRecord(
        name=experiment.name,
        topology=experiment.topology,
        spec=experiment.raw,
        created_at="",
        version="",
    )
    again = restore(record)
    assert (again.cells, again.raw) == (experiment.cells, experiment.raw)
    assert scenarios(again) == scenarios(experiment)


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


def test_captures(read):
    assert scenarios(read(EXPERIMENT + "pcap: true\n"))[0].captures == {
        "client": ("wifi", "lte"),
        "server": ("wifi", "lte"),
    }
    assert scenarios(read(EXPERIMENT + "pcap: [client.lte]\n"))[0].captures == {"client": ("lte",)}


def test_the_expected_subflows_can_be_given(read):
    assert scenarios(read(EXPERIMENT + "subflows: 4\n"))[0].flows[0].subflows == 4


def test_a_topology_can_be_written_in_place(read):
    inline = "topology:\n" + "".join(f"  {line}\n" for line in TOPOLOGY.splitlines())
    experiment = read(inline + EXPERIMENT.partition("\n")[2])
    assert experiment.topology == "try"
    with pytest.raises(
        InputError, match=r"try.yaml:5: topology.links.lte.mtuu: unknown key.*'mtu'"
    ):
        read(inline.replace("lte: {", "lte: {mtuu: 5, ") + EXPERIMENT.partition("\n")[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repetition: 3", r"try.yaml:3: repetition: unknown key; did you mean 'repetitions'\?"),
        ("repetitions: 0", r"try.yaml:3: repetitions: expected a whole number >= 1"),
        ("stacks: [tcp, mtcp]", r"try.yaml:3: stacks\[1\]: there is no stack 'mtcp'.*'mptcp'"),
        ("stacks: [tcp, tcp]", r"try.yaml:3: stacks\[1\]: stack 'tcp' is listed twice"),
        ("stacks: []", r"try.yaml:3: stacks: "),
        ("timeout: 60", r"try.yaml:3: timeout: '60' is a time without a unit"),
        ("timeout: 0", r"try.yaml:3: timeout: must be more than 0"),
        (
            "probes: [nstart]",
            r"try.yaml:3: probes\[0\]: there is no probe 'nstart'; did you mean 'nstat'\?",
        ),
        ("probes: [pcap]", r"there is no probe 'pcap'; write 'pcap: true'"),
        ("pcap: [client.wlan]", r"try.yaml:3: pcap\[0\]: there is no interface 'client.wlan'"),
        ("wire: hardware", r"try.yaml:3: wire: invalid enum value 'hardware'"),
        ("matrix: {links.wify.delay: [1ms]}", r"try.yaml:3: matrix.*there is no 'wify'.*'wifi'"),
        ("matrix: {repetitions: [1, 2]}", r"try.yaml:3: .*no path of the topology or of a flow"),
        ("matrix: {links.wifi.delay: [1ms, -5ms]}", r"try.yaml:3: matrix\..*: .*-5ms.*negative"),
        ("matrix: {workload.size: []}", r"try.yaml:3: matrix."),
        (
            "matrix: {links.wifi.delay: [1ms, 2ms, 1ms]}",
            r"try.yaml:3: matrix.\"links.wifi.delay\": '1ms' is listed twice",
        ),
        (
            "matrix: {workload.sise: [1]}",
            r"try.yaml:3: matrix\..*: .*unknown key; did you mean 'size'",
        ),
        ("matrix: {workload.via: [wlan]}", r"try.yaml:3: matrix\..*: .*is not at a link 'wlan'"),
        ("events: [{at: 1s, link: wify, state: down}]", r"try.yaml:3: events\[0\]: 'wify' is no"),
        ("events: [{at: 1s, link: wifi, set: {los: 1%}}]", r"try.yaml:3: events\[0\]: .*los"),
        (
            "events: [{at: 1s, link: wifi}]",
            r"try.yaml:3: events\[0\]: .*one action, this one has 0",
        ),
        ("events: [{at: 1s, node: client, state: down}]", r"'state' is no action of a node"),
        ("events: [{at: 1s, state: down}]", r"either a link or a node"),
        ("events: [{at: 1s, link: wifi, state: up, toward: client}]", r"goes with 'set' only"),
        ("events: [{at: soon, link: wifi, state: up}]", r"try.yaml:3: events\[0\].*'soon'"),
        ("events: [{at: 1s, node: nobody, run: ['true']}]", r"try.yaml:3: .*'nobody' is no node"),
        ("expect: [{metric: goodput, stack: tcp}]", r"try.yaml:3: expect\[0\].*at_least"),
        (
            "expect: [{metric: goodputt, stack: tcp, at_least: 1}]",
            r"try.yaml:3: expect\[0\].metric: there is no metric 'goodputt'; did you mean 'goodput",
        ),
        (
            "events: [{at: 61s, link: wifi, state: down}]",
            r"try.yaml:3: events\[0\]: is at 61s, after the timeout of a run, 60s",
        ),
        (
            (
                "events: [{at: 1s, node: client, remove_address: "
                "{interface: wifi, address: 9.9.9.9/8}}]"
            ),
            r"try.yaml:3: events\[0\]: 'wifi' at 'client' has no address 9.9.9.9/8 at that time",
        ),
        (
            (
                "events: [{at: 1s, node: client, add_address: "
                "{interface: wifi, address: 10.0.1.1/24}}]"
            ),
            r"try.yaml:3: events\[0\]: 'wifi' at 'client' has 10.0.1.1/24 at that time",
        ),
        (
            (
                "events:\n"
                "- {at: 1s, node: client, remove_endpoint: {interface: lte}}\n"
                "- {at: 2s, node: client, remove_endpoint: {interface: lte}}"
            ),
            r"try.yaml:5: events\[1\]: 'lte' at 'client' has no endpoint at that time",
        ),
        (
            "events: [{at: 1s, node: client, run: [no-such-program]}]",
            r"try.yaml:3: events\[0\].run: there is no program 'no-such-program' on this machine",
        ),
        (
            "events: [{at: 1s, link: wifi, set: {trace: no.trace}}]",
            r"try.yaml:3: events\[0\].*no.trace",
        ),
        ("matrix: {links.wifi.trace: [no.trace]}", r"try.yaml:3: matrix.*no.trace"),
        ("cases: {far: {wifi.delay: 5ms}}", r"try.yaml:3: cases.far.*is no path of the topology"),
        ("cases: {far: {links.wlan.delay: 5ms}}", r"try.yaml:3: cases\.far: case = far: .*'wlan'"),
        ("cases: {far: {}}", r"try.yaml:3: cases.far"),
        ("cases: {far: {a..trace: x}}", r"try.yaml:3: cases.far.\"a..trace\": .*is not a path"),
        ("matrix: {.: [1]}", r'try.yaml:3: matrix.".": \'.\' is not a path'),
        ("machines: [uml:7.3, zebra]", r"try.yaml:3: machines\[1\]: 'zebra' is no kind of machine"),
        ("machines: ['uml:']", r"try.yaml:3: machines\[0\]: uml: which kernel"),
        ("machines: [host, host]", r"try.yaml:3: machines\[1\]: machine 'host' is listed twice"),
        ("machines: [uml:../linux]", r"try.yaml:3: machines\[0\]: '../linux' is not an absolute"),
        ("stacks: [userspace/tcp]", r"stacks\[0\]: userspace speaks mptcp and tcp tcp"),
        (
            "expect: [{metric: goodput, stack: userspace, at_least: 1}]",
            r"try.yaml:3: expect\[0\]: stack 'userspace' does not run here",
        ),
        (
            "expect: [{metric: goodput, stack: tcp, where: {workload.via: wifi}, at_least: 1}]",
            r"try.yaml:3: expect\[0\]: 'workload.via' is no parameter of the matrix",
        ),
        (
            "expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 5mbit}]",
            r"try.yaml:3: expect\[0\].at_least: '5mbit' is not a number",
        ),
        (
            "expect: [{metric: duration, stack: mptcp, at_most: 5mbit}]",
            r"try.yaml:3: expect\[0\].at_most: '5mbit' is not a time",
        ),
    ],
)
def test_mistakes(read, text, message):
    with pytest.raises(InputError, match=message):
        read(EXPERIMENT + text + "\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("topology.yaml", "nowhere.yaml", r"try.yaml:1: topology: there is no file .*nowhere.yaml"),
        ("to: server", "to: servr", r"try.yaml:2: workload: there is no host 'servr'.*'server'"),
        ("size: 1MB", "size: 1MB, via: wlan", r"try.yaml:2: workload: 'server' is not at a link"),
        ("size: 1MB", "size: -1MB", r"try.yaml:2: workload"),
        ("kind: bulk", "kind: bulky", r"try.yaml:2: workload"),
        (
            "size: 1MB",
            "duration: 61s",
            r"try.yaml:2: workload: lasts 61s, longer than the timeout of a run, 60s",
        ),
        (
            "to: server, size",
            "to: client, size",
            r"try.yaml:2: workload: from and to are both 'client'",
        ),
        (
            "kind: bulk, from: client, to: server, size: 1MB",
            (
                "kind: command, from: client, to: server, programs: "
                "[{node: client, argv: ['true', '{adress}']}]"
            ),
            r"{adress} is not replaced by anything; did you mean 'address'",
        ),
        (
            "kind: bulk, from: client, to: server, size: 1MB",
            "kind: command, from: client, to: server, programs: [{node: client, argv: [nono]}]",
            r"workload.programs\[0\].argv: there is no program 'nono' on this machine",
        ),
        ("size: 1MB", "size: 1MB, family: ipv5", r"try.yaml:2: workload.family"),
        (
            "size: 1MB",
            "size: 1MB, direction: [1]",
            r"try.yaml:2: workload.direction: expected text",
        ),
    ],
)
def test_mistakes_in_the_workload(read, old, new, message):
    with pytest.raises(InputError, match=message):
        read(EXPERIMENT.replace(old, new))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("repetition", r"--set repetition: leads nowhere.*'repetitions'"),
        ("workload.sise", "unknown key"),
        ("links.wify.delay", "there is no 'wify'"),
        ("events[0].at", "leads nowhere"),
        ("", "--set : leads nowhere"),
    ],
)
def test_mistakes_on_the_command_line(read, path, message):
    with pytest.raises(InputError, match=message):
        read(values=[(path, "1")])


def test_a_case_on_the_command_line_has_a_name(read):
    with pytest.raises(InputError, match="--set case: leads nowhere"):
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
    with pytest.raises(InputError, match=f"^--set {values[-1][0]}: .* by now, not a mapping"):
        read(EXPERIMENT + more, values=values)


@pytest.mark.parametrize("path", ["links.wifi.mtu", "links", "topology"])
def test_what_the_command_line_does_to_a_topology_is_blamed_on_it(read, path):
    inline = "topology:\n" + "".join(f"  {line}\n" for line in TOPOLOGY.splitlines())
    with pytest.raises(InputError, match=f"^--set {path}=1: "):
        read(inline + EXPERIMENT.partition("\n")[2], values=[(path, "1")])


def test_a_topology_whose_name_is_too_long_is_not_there(read):
    with pytest.raises(InputError, match=r"try\.yaml:1: topology: there is no file"):
        read(EXPERIMENT.replace("topology.yaml", "n" * 300))
