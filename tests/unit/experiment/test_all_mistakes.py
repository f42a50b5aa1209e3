"""All mistakes of an experiment file are named at once, and each of them once."""

from __future__ import annotations

import shutil

import pytest

from testbed import sysctls
from testbed.errors import InputError
from testbed.experiment.load import recall, restore
from testbed.results.model import ExperimentRecord
from tests.experiment_text import EXPERIMENT, TOPOLOGY

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


def test_a_wrong_flow_hides_no_claims_of_the_wrong_type(read):
    text = EXPERIMENT.replace("size: 1MB", "size: soon") + "expect: none\n"
    with pytest.raises(InputError) as caught:
        read(text)
    assert [(error.line, error.path) for error in caught.value.every] == [
        (2, "workload"),
        (3, "expect"),
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
    with pytest.raises(InputError, match=r"y.yaml:3: stacks\[1\]: .*'ecf'.*in nodes: default$"):
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


PROGRAMS = """\
topology: topology.yaml
workload:
  kind: command
  from: client
  to: server
  programs:
  - {node: client, argv: [echo, "{adress}"]}
  - {node: client, argv: [echo], ready: "("}
  - {node: client, argv: [echo, "{sede}"]}
"""


def test_a_mistake_of_each_program_is_named(read):
    with pytest.raises(InputError) as caught:
        read(PROGRAMS)
    places = [(each.line, each.path) for each in caught.value.every]
    assert places == [(7 + number, f"workload.programs[{number}]") for number in range(3)]
