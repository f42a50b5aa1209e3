"""`testbed run` in machines; these do their runs in a simulation, as no kernel is needed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.campaign.request import Request
from testbed.cli import elsewhere, here
from testbed.cli.application import application
from testbed.experiment.load import load
from testbed.experiment.venue import SIMULATION
from testbed.machine import Availability, registry
from testbed.machine.model import VARIABLE

TEXT = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 10KB}
repetitions: 2
"""


class Fake:
    """A machine without a kernel; ``broken`` is one that does not work here."""

    def __init__(self, kernel):
        self.name = f"fake:{kernel}"
        self.started = []

    def availability(self):
        ok = self.name != "fake:broken"
        return Availability(ok=ok, why="it is a fake", remedy="" if ok else "mend it")

    def execute(self, program, *, console, limit_s=None):
        self.started.append(program)
        console.write_text("it was here\n")
        python, _, module, text = program.argv
        assert (python, module) == (sys.executable, "testbed.cli.here")
        request = msgspec.json.decode(text, type=Request)
        if request.resume is None:
            changes = msgspec.structs.replace(request.changes, machine=SIMULATION)
            request = msgspec.structs.replace(request, changes=changes)
        files = [load(Path(file), request.changes) for file in request.files]
        return here.carry_out(request, files)


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    """Return the machines that were asked for, by name."""
    monkeypatch.delenv(VARIABLE, raising=False)
    made = {}

    def machine(kernel):
        return made.setdefault(f"fake:{kernel}", Fake(kernel))

    monkeypatch.setitem(sys.modules, "fakes", SimpleNamespace(machine=machine))
    monkeypatch.setitem(registry._KINDS, "fake", "fakes")
    return made


@pytest.fixture
def run(tmp_path):
    """Run an experiment that lists two machines, and others as they are given."""

    def invoke(*arguments, machines="machines: [fake:old, fake:new]\n"):
        file = tmp_path / "try.yaml"
        file.write_text(TEXT + machines)
        words = ["run", str(file), "--results", str(tmp_path / "r"), *arguments]
        return CliRunner().invoke(application, words)

    return invoke


def test_a_file_runs_in_the_machines_it_lists_and_they_are_compared(run, fakes, tmp_path):
    done = run("--seed", "3")
    assert done.exit_code == 0, done.stderr
    assert {name: len(fake.started) for name, fake in fakes.items()} == {
        "fake:old": 1,
        "fake:new": 1,
    }
    title, heads, *rows = done.stdout.splitlines()[-7:]
    assert title == "try: fake:new against fake:old"
    assert heads.split() == ["stack", "metric", "base", "new", "change", "verdict"]
    assert rows[0].split()[:2] == ["userspace", "goodput"]
    assert rows[0].split()[-2:] == ["none", "pass"]
    assert rows[1].split()[0] == "duration"  # of the same cell
    assert rows[-1] == "pass: 2"
    folders = list((tmp_path / "r/try").iterdir())
    assert len(folders) == 2
    assert {(folder / "console.log").read_text() for folder in folders} == {"it was here\n"}


def test_the_comparison_is_in_the_json(run):
    first, second = json.loads(run("--json").stdout)
    assert (first["machine"], second["machine"]) == ("fake:old", "fake:new")
    assert first["comparison"] is None
    comparison = second["comparison"]
    assert (comparison["base"], comparison["news"]) == ("fake:old", ["fake:new"])
    assert (comparison["exact"], comparison["counts"]) == (True, {"pass": 2})
    change = comparison["changes"][0]
    assert change["metric"] == "goodput"
    assert change["new"]["mean"] == second["summary"]["cells"][0]["metrics"]["goodput"]["mean"]
    assert (change["relative"], change["verdict"]) == (0.0, "pass")


def test_files_of_the_same_name_are_compared_each_with_itself(run, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "try.yaml"
    other.write_text(TEXT.replace("10KB", "20KB") + "machines: [fake:old, fake:new]\n")
    reports = json.loads(run(str(other), "--json").stdout)
    sizes = [
        json.loads((Path(each["folder"]) / "experiment.json").read_text())["spec"]["workload"][
            "size"
        ]
        for each in reports
    ]
    assert [each["machine"] for each in reports] == ["fake:old"] * 2 + ["fake:new"] * 2
    assert sizes == ["10KB", "20KB"] * 2
    means = [each["summary"]["cells"][0]["metrics"]["goodput"]["mean"] for each in reports]
    assert means[0] != means[1]
    compared = [each["comparison"]["changes"][0]["new"]["mean"] for each in reports[2:]]
    assert compared == means[2:]


def test_the_software_is_looked_at_once(run, fakes, monkeypatch):
    looks = []
    real = elsewhere.software
    monkeypatch.setattr(elsewhere, "software", lambda: looks.append(real()) or looks[-1])
    run()
    requests = [
        msgspec.json.decode(fake.started[0].argv[-1], type=Request) for fake in fakes.values()
    ]
    assert [request.software for request in requests] == looks * 2


def test_one_machine_is_compared_with_none(run, fakes):
    (report,) = json.loads(run("--machine", "fake:new", "--json").stdout)
    assert report["comparison"] is None
    assert [name for name, fake in fakes.items() if fake.started] == ["fake:new"]


def test_without_a_summary_the_folder_is_named_and_a_run_that_does_not_count_is_1(run, tmp_path):
    done = run("--sim", "--no-summary", "--json")
    (folder,) = (tmp_path / "r/try").iterdir()
    assert json.loads(done.stdout) == [{"folder": str(folder), "summary": None}]
    assert done.exit_code == 0
    stuck = run("--sim", "--no-summary", "--json", "--set", "links.wifi.netem.loss=100%")
    assert stuck.exit_code == 1
    assert len(json.loads(stuck.stdout)) == 1


def test_a_simulation_needs_none_of_them(run, fakes):
    assert run("--sim").exit_code == 0
    assert not any(fake.started for fake in fakes.values())


def test_inside_of_a_machine_the_list_is_not_followed_again(run, fakes, monkeypatch):
    monkeypatch.setenv(VARIABLE, "fake:old")
    run("--wire", "emulator", "--repetitions", "1")
    assert not any(fake.started for fake in fakes.values())


def test_if_one_does_not_work_here_none_is_started(run, fakes):
    machines = "machines: [fake:new, fake:broken]\n"
    done = run(machines=machines)
    assert done.exit_code == 4
    assert done.stderr == (
        "testbed: the machine fake:broken does not work here: it is a fake; "
        "mend it, or go on with --machine fake:new\n"
    )
    assert not any(fake.started for fake in fakes.values())
    assert run("--machine", "fake:new", machines=machines).exit_code == 0


def test_a_folder_is_resumed_in_the_machine_it_was_begun_in(run, fakes, tmp_path):
    run("--machine", "fake:old")
    (folder,) = (tmp_path / "r/try").iterdir()
    recorded = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(recorded | {"machine": "fake:old"}))
    CliRunner().invoke(application, ["run", "--resume", str(folder)])
    _, again = fakes["fake:old"].started
    assert json.loads(again.argv[-1])["resume"] == str(folder)


def test_what_is_started_inside_says_what_is_wrong_in_one_line(tmp_path):
    text = msgspec.json.encode(Request(files=("absent.yaml",), results="r")).decode()
    argv = [sys.executable, "-m", "testbed.cli.here", text]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "testbed: absent.yaml: cannot be read: No such file or directory\n"


def test_what_is_started_inside_loads_nothing_that_only_people_need():
    """In emulation a library that is not needed takes seconds."""
    code = (
        "import sys, testbed.cli.here, testbed.cli.progress, testbed.experiment.sandboxed\n"
        "heavy = {'numpy', 'scipy', 'networkx', 'rich', 'typer', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
