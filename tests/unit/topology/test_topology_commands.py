"""``testbed check``, ``schema`` and ``plan``, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_check_prints_a_line_for_each_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("nodes: {a: {}}\nlinsk: {}\n")
    two_paths = "topologies/two_paths.yaml"
    done = run("check", str(bad), two_paths, "experiments/quickstart.yaml")
    assert done.returncode == 2
    first, second, third = done.stdout.splitlines()
    assert first == f"{bad}:2: linsk: unknown key; did you mean 'links'?"
    assert second == f"{two_paths}: topology, 2 nodes, 2 links, 2 wires, 62 operations"
    assert third.startswith("experiments/quickstart.yaml: experiment, ")
    assert run("check", two_paths).returncode == 0


def test_check_as_json(tmp_path: Path) -> None:
    done = run("check", "--json", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    (report,) = json.loads(done.stdout)
    assert report["ok"] is False
    assert "No such file" in report["mistakes"][0]["error"]


def test_check_names_every_mistake_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(
        "topology:\n"
        "  nodes: {a: {}, b: {}}\n"
        "  links:\n"
        "    wifi: {between: [a, b], netem: {rate: 20mbitt}}\n"
        "stacks: [tpc]\n"
        "workload: {kind: bulk, from: a, to: b, size: 1MB}\n"
        "probes: [nstart]\n"
        "timeout: 60\n"
    )
    done = run("check", str(file))
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert [line.removeprefix(f"{file}:").partition(": ")[0] for line in lines] == [
        "5",
        "4",
        "7",
        "8",
    ]
    assert "topology.links.wifi.netem" in lines[1]


def test_check_warns_of_what_is_seldom_meant(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(
        "nodes: {a: {sysctls: {net.ipv4.tcp_sak: 1, net.ipv4.conf.wifi.rp_filter: 2}}, b: {}}\n"
        "sysctls: {net.ipv4.tcp_ramm: 1 2 3}\n"
        "links:\n"
        "  wifi: {between: [a, b], netem: {rate: 20Mbps, loss: 0.01}}\n"
        "  lte: {between: [a, b], netem: rate 20 loss 1%}\n"
    )
    done = run("check", str(file))
    assert done.returncode == 0
    *warnings, good = done.stdout.splitlines()
    assert "tc reads 20Mbps as 160mbit" in warnings[0]
    assert "write 1% or 0.01%" in warnings[1]
    assert "tc reads 20 as 20 bit/s; write 20mbit" in warnings[2]
    assert "did you mean 'tcp_rmem'?" in warnings[3]
    assert "did you mean 'tcp_sack'?" in warnings[4]
    assert len(warnings) == 5
    assert good.startswith(f"{file}: topology, 2 nodes")


def test_a_name_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    done = run("check", str(tmp_path / "no\x1b[31mred.yaml"))
    assert "\x1b" not in done.stdout
    assert "no\\x1b[31mred.yaml" in done.stdout


def test_the_schema_names_stacks_probes_and_metrics() -> None:
    defs = json.loads(run("schema", "experiment").stdout)["$defs"]
    items = defs["ExperimentSpec"]["properties"]["stacks"]["items"]["anyOf"]
    assert {"tcp", "mptcp", "userspace"} <= {item.get("const") for item in items}
    probes = defs["ExperimentSpec"]["properties"]["probes"]["items"]["anyOf"]
    assert {"nstat", "wire"} <= {probe["const"] for probe in probes}
    assert all(probe["description"] for probe in probes)
    metrics = defs["ExpectSpec"]["properties"]["metric"]["anyOf"]
    assert {"goodput", "jain"} <= {metric.get("const") for metric in metrics}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("testbed run --stack user", "userspace"),
        ("testbed run --machine ho", "host"),
        ("testbed show --metrics goodput,rtt_p9", "goodput,rtt_p95"),
        ("testbed compare --metrics good", "goodput"),
        ("testbed bisect --kernels uml:7.3,ho", "uml:7.3,host"),
        ("testbed nc --stack userspace-", "userspace-tcp"),
        ("testbed baseline check quick", "quickstart"),
    ],
)
def test_the_shell_completes_names(arguments: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed"],
        env=os.environ
        | {"_TESTBED_COMPLETE": "complete_bash", "COMP_WORDS": arguments, "COMP_CWORD": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout.split()


@pytest.mark.parametrize("document", ["topology", "experiment"])
def test_schema_is_a_json_schema(document: str) -> None:
    schema = json.loads(run("schema", document).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    name = schema["$ref"].rsplit("/", 1)[1]
    assert schema["$defs"][name]["additionalProperties"] is False


def test_plan_and_its_difference() -> None:
    two_paths = "topologies/two_paths.yaml"
    done = run("plan", two_paths)
    assert done.stdout == (Path(__file__).parent / "two_paths.plan").read_text()
    operations = json.loads(run("plan", two_paths, "--json").stdout)["operations"]
    assert operations[0] == {"op": "AddNamespace", "namespace": "client"}
    assert run("plan", two_paths, "--diff", two_paths).stdout == ""
    difference = run("plan", two_paths, "--diff", "topologies/three_paths.yaml").stdout
    assert {line[:2] for line in difference.splitlines()} == {"- ", "+ "}


def test_bad_input_is_one_line_on_stderr_and_exit_code_2() -> None:
    done = run("plan", "topologies/none.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "testbed: topologies/none.yaml: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize("command", ["up", "plan"])
def test_an_experiment_in_the_place_of_a_topology_is_called_one(command: str) -> None:
    done = run(command, "experiments/quickstart.yaml")
    assert done.returncode == 2
    assert "is an experiment, not a topology; run it with `testbed run " in done.stderr
