"""All plugins of another package in one simulated experiment, and its results without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.results.store import Store
from tests import example

BOX = "middlebox: [{thin_out: {every: 20, toward: server}}]"
EXPERIMENT = f"""\
{example.TOPOLOGY.replace("delay: 10ms}", f"delay: 10ms}}, {BOX}")}
stacks: [{example.THEIRS}, userspace-tcp]
workload: {{kind: echo, from: client, to: server, size: 100KB, rounds: 10}}
probes: [mptcp_info, tcp_info, wire, sockstat]
repetitions: 1
expect:
  - {{metric: echo_time_p50, stack: theirs, at_least: 1ms}}
  - {{metric: echo_time_spread, stack: theirs, at_least: 1us}}
"""


def invoked(*command: str) -> tuple[int, str]:
    """Return the exit code of a command and all that it says."""
    done = CliRunner().invoke(application, command)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def ran(example_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the experiment, with its results beside it."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "try.yaml").write_text(EXPERIMENT)
    done = example.testbed(
        "run", "--sim", "--jobs", "2", "try.yaml", site=example_site, folder=folder
    )
    assert (done.returncode, done.stderr.count(": ok")) == (0, 2), done.stdout + done.stderr
    return folder


@pytest.fixture
def store(ran: Path) -> Store:
    (folder,) = (ran / "results" / "try").iterdir()
    return Store.open(folder)


def test_everything_was_used(store: Store) -> None:
    theirs, tcp = sorted(store.runs(), key=lambda run: run.stack)
    used = theirs.stacks["workload"].used
    chosen = {"scheduler": "sticky", "congestion": "fixed_window", "path_manager": "one_more"}
    assert {end: {it: has[it] for it in chosen} for end, has in used.items()} == {
        "source": chosen,
        "target": chosen,
    }
    assert theirs.subflows == (2,)  # the number that one_more opens
    assert theirs.flows["workload"].kind == "echo"
    assert theirs.metrics["echo_time_p50"] > 0.02  # there and back
    spread = theirs.metrics["echo_time_max"] - theirs.metrics["echo_time_p50"]
    assert theirs.metrics["echo_time_spread"] == pytest.approx(spread)
    # 1 MB in segments of 1448 octets, of which each 21st is lost on its way over wifi.
    assert tcp.metrics["@wifi.retransmitted_segments"] >= 1_000_000 // 1448 // 21


def test_the_environment_names_what_was_used(store: Store) -> None:
    found = store.environment().plugins
    assert sorted(found) == [
        "testbed.congestion:fixed_window",
        "testbed.metrics:example",
        "testbed.middleboxes:thin_out",
        "testbed.path_managers:one_more",
        "testbed.probes:sockstat",
        "testbed.schedulers:sticky",
        "testbed.workloads:echo",
    ]
    assert set(found.values()) == {"testbed-example 1.0"}


def test_an_experiment_without_them_names_only_the_metrics(
    example_site: Path, tmp_path: Path
) -> None:
    (tmp_path / "try.yaml").write_text(
        f"{example.TOPOLOGY}stacks: [userspace-tcp]\nrepetitions: 1\n"
        "workload: {kind: bulk, from: client, to: server, size: 10KB}\n"
    )
    with example.beside(example_site):
        options = ["--sim", "--results", str(tmp_path / "results")]
        code, said = invoked("run", *options, str(tmp_path / "try.yaml"))
    assert code == 0, said
    (folder,) = (tmp_path / "results" / "try").iterdir()
    assert list(Store.open(folder).environment().plugins) == ["testbed.metrics:example"]


def test_results_are_read_without_the_package(ran: Path, store: Store) -> None:
    done = example.testbed("show", str(store.path), site=None, folder=ran)
    assert done.returncode == 0, done.stderr
    assert "goodput" in done.stdout
    assert "pass: echo_time_p50 of theirs is at least 1ms: 1" in done.stdout  # in its unit
    metrics = "echo_time_p50,echo_time_spread"
    done = example.testbed("show", "--metrics", metrics, str(store.path), site=None, folder=ran)
    assert done.returncode == 0, done.stderr
    assert " ms " in done.stdout


def test_the_rest_of_the_runs_needs_the_package(ran: Path, store: Store) -> None:
    done = example.testbed("run", "--resume", str(store.path), site=None, folder=ran)
    assert done.returncode == 2
    assert "there is no kind of workload 'echo'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rounds: 10", "rounds: 0", "workload.rounds: expected a whole number >= 1"),
        ("rounds: 10", "round: 10", "workload.round: unknown key; did you mean 'rounds'?"),
        ("kind: echo", "kind: ecco", "no kind of workload 'ecco'; did you mean 'echo'?"),
        ("sockstat]", "sockstats]", "no probe 'sockstats'; did you mean 'sockstat'?"),
        ("sticky", "stiky", "no scheduler 'stiky'; did you mean 'sticky'?"),
        ("fixed_window", "fixed_win", "congestion control 'fixed_win'; did you mean 'fixed_w"),
        ("one_more", "one_mor", "no path manager 'one_mor'; did you mean 'one_more'?"),
        ("thin_out", "thin_in", "no middlebox 'thin_in'; did you mean 'thin_out'?"),
        ("every: 20", "every: 0", "middlebox[0].thin_out.every: expected a whole number >= 1"),
        ("echo_time_spread", "echo_time_spred", "no metric 'echo_time_spred'; did you mean"),
        ("wire, sockstat]\n", "wire]\nmatrix: {stack.scheduler: [sticki]}\n", "'sticki'"),
    ],
)
def test_what_is_wrong_with_them_has_its_line(
    example_site: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in EXPERIMENT
    (tmp_path / "try.yaml").write_text(EXPERIMENT.replace(old, new))
    with example.beside(example_site):
        code, said = invoked("check", "--sim", str(tmp_path / "try.yaml"))
    assert code == 2
    assert message in said
    assert said.startswith(f"{tmp_path}/try.yaml:")


def test_every_list_names_them(example_site: Path) -> None:
    def said(*command: str) -> str:
        code, text = invoked(*command)
        assert code == 0, text
        return text

    with example.beside(example_site):
        stacks = json.loads(said("stacks", "--json"))["ours"]
        metrics = {metric["name"] for metric in json.loads(said("metrics", "--json"))}
        schema = said("schema", "experiment")
        topology = said("schema", "topology")
    assert "sticky" in stacks["scheduler"]
    assert "fixed_window" in stacks["congestion"]
    assert "one_more" in stacks["path_manager"]
    assert {"echo_time_p50", "echo_time_spread", "sockets_max"} <= metrics
    assert all(f'"{name}"' in schema for name in ("sockstat", "echo_time_p50", "sockets_max"))
    kinds: dict[str, Any] = json.loads(schema)["$defs"]
    assert "rounds" in kinds["Echo"]["properties"]
    assert "thin_out" in topology
    assert "Loses segments with payload." in topology


def test_nothing_of_it_stays_in_this_process() -> None:
    code, said = invoked("stacks")
    assert (code, "sticky" in said) == (0, False)
