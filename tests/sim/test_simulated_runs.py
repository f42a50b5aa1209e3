"""`testbed run --sim`: whole experiments in simulated networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from testbed.campaign import runner
from testbed.cli.application import application
from testbed.errors import InputError, StoreError
from testbed.experiment.load import Experiment, load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import SIMULATION, Assignment, venue
from testbed.results.model import WORKLOAD, RunRecord, Status
from testbed.results.store import Store

ROOT = Path(__file__).parents[2]
EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms, limit: 50}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms, limit: 100}}
stacks: [userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 1
"""


class Unwatched:
    def begin(self, run: Any) -> None: ...
    def progress(self, progress: Any) -> None: ...
    def end(self, record: Any) -> None: ...


class Bench:
    """Reads and runs experiments given as text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, text: str, **overrides: Any) -> Experiment:
        file = self.folder / "try.yaml"
        file.write_text(text)
        return load(file, Overrides(machine=SIMULATION, **overrides))

    def run(self, text: str, **overrides: Any) -> tuple[Store, list[RunRecord]]:
        experiment = self.read(text, **overrides)
        store = runner.create(experiment, self.folder / "results")
        runner.carry_out(experiment, store, runner.plan(experiment), Unwatched(), fail_fast=False)
        return store, store.runs()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def records(store: Store, run: RunRecord, probe: str) -> list[dict[str, Any]]:
    path = store.path / "runs" / f"{run.number:04d}" / "series.jsonl"
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if line["probe"] == probe]


def test_both_stacks_run_and_are_proved_by_what_their_ends_say(bench: Bench) -> None:
    store, runs = bench.run(EXPERIMENT)
    assert {run.stack: (run.status, run.reason) for run in runs} == {
        "userspace-tcp": (Status.OK, None),
        "userspace": (Status.OK, None),
    }
    for run in runs:
        assert run.engine == "simulator"
        assert 0.1e6 < run.metrics["goodput"] < 50e6
        assert not {"cpu_source", "cpu_target"} & set(run.metrics)
        expected = 2 if run.stack == "userspace" else None
        proof = run.flows[WORKLOAD].proof
        assert (proof.expected_subflows, proof.subflows) == (expected, expected)
        (total,) = [
            record["values"]
            for record in records(store, run, "nstat")
            if (record["node"], record["span"]) == ("client", "total")
        ]
        assert total["TcpOutSegs"] > 300
        assert total.get("MPTcpExtMPCapableSYNTX", 0) == (run.stack == "userspace")
        probe = "mptcp_info" if run.stack == "userspace" else "tcp_info"
        assert {record["node"] for record in records(store, run, probe)} == {"client", "server"}
        assert records(store, run, "wire")
    assert store.environment().machine == "sim"
    assert runner.resume(store).machine == "sim"


def test_equal_seeds_give_equal_bits(bench: Bench) -> None:
    text = EXPERIMENT.replace("limit: 50", "limit: 50, loss: 1%, corrupt: 1%") + "pcap: true\n"
    files: list[dict[str, bytes]] = []
    metrics = []
    for _ in range(2):
        store, runs = bench.run(text)
        metrics.append([run.metrics for run in runs])
        names = sorted(
            path for path in store.path.glob("runs/*/*") if path.suffix in (".pcapng", ".jsonl")
        )
        files.append({str(path.relative_to(store.path)): path.read_bytes() for path in names})
    assert len(files[0]) == 2 * (4 + 1)
    assert all(files[0].values())
    assert files[0] == files[1]
    assert metrics[0] == metrics[1]


def test_bits_do_not_depend_on_the_order_of_hashes(bench: Bench) -> None:
    file = bench.folder / "try.yaml"
    file.write_text(EXPERIMENT + "pcap: [server.wifi, server.lte]\n")
    captures = []
    for seed in ("1", "2"):
        results = bench.folder / f"results-{seed}"
        command = [sys.executable, "-m", "testbed", "run", "--sim", file, "--results", results]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        files = sorted(results.glob("**/*.pcapng"))
        captures.append([path.read_bytes() for path in files])
    assert len(captures[0]) == 4
    assert captures[0] == captures[1]


def test_a_capture_that_cannot_be_written_ends_the_experiment(bench: Bench) -> None:
    experiment = bench.read(EXPERIMENT + "pcap: [client.wifi]\n", stacks=["userspace"])
    (bench.folder / "client-wifi.pcapng").symlink_to("/dev/full")
    [run] = runner.plan(experiment)
    scenario = experiment.scenario(run.cell)
    assignment = Assignment(
        spec=experiment.spec,
        scenario=scenario,
        planned=run,
        directory=bench.folder,
        on_progress=Unwatched().progress,
    )
    with pytest.raises(StoreError, match=r"client-wifi.pcapng cannot be written: No space left"):
        venue(SIMULATION).run_once(assignment)


def test_wires_have_no_engine_to_choose(bench: Bench) -> None:
    file = bench.folder / "try.yaml"
    file.write_text(EXPERIMENT)
    ran = CliRunner().invoke(application, ["run", "--sim", "--wire", "netem", str(file)])
    assert ran.exit_code == 2
    assert "--sim cannot be used with --machine or --wire" in ran.output


def test_events_happen_on_the_virtual_clock(bench: Bench) -> None:
    text = EXPERIMENT.replace("size: 1MB", "duration: 5s") + (
        "events: [{at: 1s, link: wifi, state: blackhole}, {at: 3s, link: wifi, state: up}]\n"
    )
    _, [run] = bench.run(text, stacks=["userspace-tcp"])
    assert run.status is Status.OK
    assert [event.started_ns for event in run.events] == [10**9, 3 * 10**9]
    assert run.metrics["longest_gap"] > 2


def test_endpoints_come_and_go(bench: Bench) -> None:
    """The server's second address is announced from the start; the client's limits take it up."""
    text = EXPERIMENT.replace("size: 1MB", "duration: 6s") + (
        "events: [{at: 2s, node: server, remove_endpoint: {interface: lte}},\n"
        "         {at: 4s, node: server, add_endpoint: {interface: lte, flags: [signal]}}]\n"
    )
    store, [run] = bench.run(text, stacks=["userspace"])
    assert (run.status, run.reason) == (Status.OK, None)
    usable = {
        line["t_ns"] // 10**8: sum(flow["tcp"]["state"] == 1 for flow in line["mptcp"]["subflows"])
        for line in records(store, run, "mptcp_info")
        if line["node"] == "client"
    }
    times = sorted(usable)
    begin = times[0]
    assert [usable[begin + tenth] for tenth in (15, 35, 55)] == [2, 1, 2]


def test_mptcp_outlives_a_link(bench: Bench) -> None:
    text = EXPERIMENT.replace("size: 1MB", "duration: 5s") + (
        "events: [{at: 1s, link: wifi, state: down}]\n"
    )
    _, [run] = bench.run(text, stacks=["userspace"])
    assert (run.status, run.reason) == (Status.OK, None)
    assert run.metrics["longest_gap"] < 1


@pytest.mark.parametrize("stack", ["userspace", "userspace-tcp"])
@pytest.mark.parametrize(("timeout", "status"), [("2s", Status.FAILED), ("9s", Status.OK)])
def test_user_timeout_ends_a_connection(
    bench: Bench, stack: str, timeout: str, status: Status
) -> None:
    text = EXPERIMENT.replace("size: 1MB", "duration: 8s") + (
        "events: [{at: 1s, link: wifi, state: blackhole}, {at: 1s, link: lte, state: blackhole},\n"
        "         {at: 5s, link: wifi, state: up}]\n"
    )
    _, [run] = bench.run(text, stacks=[f"{stack}(user_timeout={timeout})"])
    assert run.status is status, run.reason
    if status is Status.OK:
        assert run.stacks[WORKLOAD].used["source"]["user_timeout"] == 9 * 10**9
    else:
        assert "timed out" in str(run.reason)


@pytest.mark.parametrize(
    "kind",
    [
        "reqres, count: 20",
        "reqres, response: 300KB, count: 5, reconnect: true",
        "rpc, arrivals: {poisson: 50}, stop: 1s, connections: 3",
        "http, pages: 3, size: {uniform: [1KB, 30KB]}",
        "http, objects: 10, keep_alive: false",
        f"web, pages: 2, page: {ROOT / 'experiments/pages/shop.yaml'}",
        "video, ladder: [200kbit, 1mbit], segments: 5",
        "stream, rate: 1mbit, duration: 2s",
    ],
)
def test_every_built_in_kind_runs(bench: Bench, kind: str) -> None:
    text = EXPERIMENT.replace("bulk", kind).replace(", size: 1MB", "")
    _, runs = bench.run(text)
    assert [(run.status, run.reason) for run in runs] == [(Status.OK, None)] * 2


def test_fast_open_saves_reqres_a_round_trip(bench: Bench) -> None:
    """Each request has a connection of its own: one round trip of 20 ms instead of two."""
    stacks = "stacks: [userspace-tcp, userspace-tcp(fast_open=true)]"
    text = EXPERIMENT.replace("stacks: [userspace-tcp, userspace]", stacks).replace(
        "kind: bulk, from: client, to: server, size: 1MB",
        "kind: reqres, from: client, to: server, response: 100, count: 10, reconnect: true",
    )
    _, runs = bench.run(text)
    assert [(run.status, run.reason) for run in runs] == [(Status.OK, None)] * 2
    plain, fast = (run.metrics["latency_p50"] for run in sorted(runs, key=lambda run: run.stack))
    assert 0.040 < plain < 0.045
    assert 0.018 < plain - fast < 0.022


def test_user_timeout_ends_what_no_path_carries(bench: Bench) -> None:
    """TCP ends two seconds after its path has died; MPTCP goes on over another one."""
    patient, limited = "userspace-tcp", "userspace-tcp(user_timeout=2s)"
    other = "userspace(user_timeout=2s)"
    stacks = f'["{patient}", "{limited}", "{other}"]'
    text = EXPERIMENT.replace("[userspace-tcp, userspace]", stacks)
    text = text.replace("size: 1MB", "size: 12MB")
    _, runs = bench.run(f"{text}events: [{{at: 500ms, link: wifi, state: blackhole}}]\n")
    found = {run.stack: run for run in runs}
    assert "timed out after 60 s while waiting for" in str(found[patient].reason)
    assert "Connection timed out (the user timeout has expired)" in str(found[limited].reason)
    assert (found[other].status, found[other].reason) == (Status.OK, None)


def test_a_workload_that_takes_too_long_has_failed(bench: Bench) -> None:
    text = EXPERIMENT.replace("rate: 20mbit", "rate: 20mbit, loss: 100%")
    _, runs = bench.run(text)
    for run in runs:
        assert run.status is Status.FAILED
        for role in ("client", "server"):
            assert f"the {role} timed out after 60 s while waiting for a" in str(run.reason)


def test_stacks_that_cannot_be_simulated_are_left_out(bench: Bench) -> None:
    text = EXPERIMENT.replace("[userspace-tcp, userspace]", "[tcp, userspace-tcp, mptcp]")
    experiment = bench.read(text)
    assert experiment.spec.stacks == ("userspace-tcp",)
    assert experiment.left_out == ("tcp", "mptcp")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[userspace-tcp, userspace]",
            "[tcp, mptcp]",
            "try.yaml:6: stacks: tcp, mptcp: not on the machine 'sim'; available: userspace, ",
        ),
        ("bulk", "iperf3", "try.yaml:7: workload.kind: 'iperf3' starts programs; "),
        (
            "repetitions: 1",
            "events: [{at: 1s, node: client, run: [sleep, '1']}]",
            "try.yaml:8: events[0].run: cannot be simulated",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    bench: Bench, old: str, new: str, message: str
) -> None:
    text = EXPERIMENT.replace(old, new)
    if new == "iperf3":
        text = text.replace(", size: 1MB", ", duration: 1s")
    with pytest.raises(InputError) as caught:
        bench.read(text)
    assert message in str(caught.value)


def test_the_command_says_which_fixed_stacks_ours_carries(bench: Bench) -> None:
    file = bench.folder / "try.yaml"
    file.write_text(EXPERIMENT.replace(
        "workload: {kind: bulk, from: client, to: server, size: 1MB}",
        "flows: {a: {kind: bulk, from: client, to: server, size: 1MB},\n"
        "        b: {kind: bulk, from: client, to: server, size: 1MB, stack: tcp}}"
    ))  # fmt: skip
    arguments = ["run", "--sim", str(file), "--results", str(bench.folder / "results")]
    ran = CliRunner().invoke(application, arguments)
    assert ran.exit_code == 0, ran.output
    assert "userspace-tcp replaced the stack tcp of b: no kernel is simulated" in ran.output


def test_the_command_says_what_it_leaves_out(bench: Bench) -> None:
    file = bench.folder / "try.yaml"
    file.write_text(EXPERIMENT.replace("[userspace-tcp,", "[tcp, userspace-tcp,"))
    arguments = ["run", "--sim", str(file), "--results", str(bench.folder / "results")]
    ran = CliRunner().invoke(application, arguments)
    assert ran.exit_code == 0, ran.output
    assert "try: left out, because they cannot be simulated: tcp" in ran.output
    assert "simulator" in ran.output
    assert "virtual time: these numbers do not include the time of computing" in ran.output


PORTS = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    path: {between: [client, server], netem: {rate: 100mbit, delay: 20ms, loss: 1%, limit: 500}}
stacks:
  - {userspace: {path_manager: command}}
  - {userspace: {path_manager: ndiffports, subflows: 4}}
workload: {kind: bulk, from: client, to: server, size: 2MB}
repetitions: 1
seed: 2
"""


def test_different_ports_share_a_path_as_several_connections_do(bench: Bench) -> None:
    """Each of four subflows has a congestion window; without commands there is one subflow."""
    _, runs = bench.run(PORTS)
    assert [run.reason for run in runs] == [None, None]
    one, four = sorted(runs, key=lambda run: run.metrics["goodput"])
    seen = [run.flows[WORKLOAD].proof for run in (one, four)]
    assert [proof.subflows for proof in seen] == [1, 4]
    assert [proof.expected_subflows for proof in seen] == [1, 4]
    assert four.metrics["goodput"] > 2 * one.metrics["goodput"]


WAYS = """\
topology:
  multipath: true
  nodes:
    client: {}
    server: {}
    near: {kind: router}
    far: {kind: router}
    up: {kind: router}
    down: {kind: router}
  links:
    client: {between: [client, near]}
    up: {between: [near, up], netem: {rate: 10mbit, delay: 5ms}}
    down: {between: [near, down], netem: {rate: 10mbit, delay: 5ms}}
    up2: {between: [up, far]}
    down2: {between: [down, far]}
    server: {between: [far, server]}
stacks:
  - userspace-tcp
  - {userspace: {path_manager: ndiffports, subflows: 6}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 1
"""


def test_a_router_chooses_a_way_of_equal_cost_for_each_flow(bench: Bench) -> None:
    """One flow has one way; six subflows use both, unless all hashes are equal."""
    _, runs = bench.run(WAYS)
    one, several = sorted(runs, key=lambda run: run.metrics["goodput"])
    assert one.metrics["goodput"] < 10e6
    assert several.metrics["goodput"] > 1.4 * one.metrics["goodput"]
