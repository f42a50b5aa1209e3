"""`testbed run` in machines; these do their runs in a simulation, as no kernel is needed here."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import elsewhere
from testbed.cli.application import application
from testbed.machine import registry
from testbed.machine.model import VARIABLE
from testbed.results.environment import software
from tests import fakes
from tests.processes import until_gone

TEXT = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 10KB}
repetitions: 2
"""


@pytest.fixture(autouse=True)
def _fakes(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(fakes, "notes", tmp_path / "notes")
    monkeypatch.setitem(registry._KINDS, "fake", "tests.fakes")


@pytest.fixture
def run(tmp_path):
    """Run an experiment that lists two machines, and others as they are given."""

    def invoke(*arguments, machines="machines: [fake:old, fake:new]\n"):
        file = tmp_path / "try.yaml"
        file.write_text(TEXT + machines)
        words = ["run", str(file), "--results", str(tmp_path / "r"), *arguments]
        return CliRunner().invoke(application, words)

    return invoke


def test_a_file_runs_in_the_machines_it_lists_and_they_are_compared(run, tmp_path):
    done = run("--seed", "3")
    assert done.exit_code == 0, done.stderr
    assert [(it.machine, it.runs) for it in fakes.started()] == [
        ("fake:old", [1, 2]),
        ("fake:new", [1, 2]),
    ]
    lines = done.stdout.splitlines()
    _, heads, *rows = lines[lines.index("try: fake:new against fake:old") :]
    assert heads.split()[:5] == ["stack", "metric", "base", "new", "change"]
    assert rows[0].split()[:2] == ["userspace", "goodput"]
    assert (rows[0].count("none [+0.0%, +0.0%]"), rows[0].split()[-1]) == (1, "pass")
    assert rows[1].split()[0] == "duration"  # a row of the same cell
    assert rows[-1] == "pass: 2"
    folders = list((tmp_path / "r/try").iterdir())
    assert len(folders) == 2
    assert {(folder / "console.log").read_text() for folder in folders} == {"it was here: [1, 2]\n"}


def test_the_comparison_is_in_the_json(run):
    first, second = json.loads(run("--json").stdout)
    assert (first["machine"], second["machine"]) == ("fake:old", "fake:new")
    assert first["comparison"] is None
    comparison = second["comparison"]
    assert (comparison["base"], comparison["news"]) == ("fake:old", ["fake:new"])
    assert comparison["counts"] == {"pass": 2}
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


def test_the_software_is_looked_at_once(run, monkeypatch):
    looks = []
    monkeypatch.setattr(elsewhere, "software", lambda: looks.append(software()) or looks[-1])
    run()
    assert [it.errand.software for it in fakes.started()] == looks * 2


def test_one_machine_is_compared_with_none(run):
    (report,) = json.loads(run("--machine", "fake:new", "--json").stdout)
    assert report["comparison"] is None
    assert [it.machine for it in fakes.started()] == ["fake:new"]


def test_without_a_summary_the_folder_is_named_and_a_run_that_does_not_count_is_1(run, tmp_path):
    done = run("--sim", "--no-summary", "--json")
    (folder,) = (tmp_path / "r/try").iterdir()
    assert json.loads(done.stdout) == [{"folder": str(folder), "summary": None}]
    assert done.exit_code == 0
    stuck = run("--sim", "--no-summary", "--json", "--set", "links.wifi.netem.loss=100%")
    assert stuck.exit_code == 1
    assert len(json.loads(stuck.stdout)) == 1


def test_a_simulation_needs_none_of_them(run):
    assert run("--sim").exit_code == 0
    assert fakes.started() == []


def test_inside_of_a_machine_the_list_is_not_followed_again(run, monkeypatch):
    monkeypatch.setenv(VARIABLE, "fake:old")
    run("--wire", "emulator", "--repetitions", "1")
    assert fakes.started() == []


def test_if_one_does_not_work_here_none_is_started(run):
    machines = "machines: [fake:new, fake:broken]\n"
    done = run(machines=machines)
    assert done.exit_code == 4
    assert done.stderr == (
        "testbed: the machine fake:broken does not work here: it is a fake; "
        "mend it, or use only --machine fake:new\n"
    )
    assert fakes.started() == []
    assert run("--machine", "fake:new", machines=machines).exit_code == 0


def test_a_folder_is_resumed_in_the_machine_it_was_begun_in(run, tmp_path):
    run("--machine", "fake:old")
    (folder,) = (tmp_path / "r/try").iterdir()
    (folder / "runs/0001/run.json").unlink()
    done = CliRunner().invoke(application, ["run", "--resume", str(folder)])
    assert done.exit_code == 0, done.stderr
    assert [(it.machine, it.runs) for it in fakes.started()] == [
        ("fake:old", [1, 2]),
        ("fake:old", [1]),
    ]


def test_a_folder_is_not_resumed_on_another_kernel(run, tmp_path):
    run("--machine", "fake:old")
    (folder,) = (tmp_path / "r/try").iterdir()
    path = folder / "environment.json"
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps(recorded | {"memory": 1}))
    (folder / "runs/0001/run.json").unlink()
    done = CliRunner().invoke(application, ["run", "--resume", str(folder)])
    assert done.exit_code == 2
    assert "was measured in another environment: memory: 1, " in done.stderr


def contents(folder):
    """Return the files of a result folder; when it was made is left out."""
    found = {
        str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()
    }
    experiment = json.loads(found["experiment.json"])
    del experiment["created_at"]
    return found | {"experiment.json": experiment}


# Fields with the cost of a simulation; the machines here simulate, with a real clock.
CIRCUMSTANCES = ("started_at", "seconds", "load", "cpu")


def without_clock(found):
    for name in [name for name in found if name.endswith("run.json")]:
        record = json.loads(found[name])
        found[name] = {key: it for key, it in record.items() if key not in CIRCUMSTANCES}
    lines = [json.loads(line) for line in found["manifest.jsonl"].splitlines()]
    found["manifest.jsonl"] = [(line["run"], line["status"]) for line in lines]
    return found


def test_on_a_virtual_clock_what_is_stored_does_not_depend_on_jobs(run, tmp_path):
    options = ("--machine", "fake:new+virtual-time", "--repetitions", "5")
    folders = []
    for jobs in ("1", "2", "3"):
        done = run(*options, "--results", str(tmp_path / jobs), "--jobs", jobs)
        assert done.exit_code == 0, done.stderr
        folders += (tmp_path / jobs / "try").iterdir()
    one, *others = [without_clock(contents(folder)) for folder in folders]
    assert len([name for name in one if name.endswith("run.json")]) == 5
    assert one["console.log"] == b"".join(b"it was here: [%d]\n" % run for run in range(1, 6))
    assert others == [one, one]
    assert all(len(it.runs) == 1 for it in fakes.started())
    seeds = {it.runs[0]: it.seed for it in fakes.started()}
    assert len(set(seeds.values())) == 5  # each run has its own entropy on any executor
    assert [it.errand.telling for it in fakes.started()] == [False] * 15


def test_what_a_machine_did_before_it_broke_down_is_kept(run, tmp_path):
    done = run("--machine", "fake:dying", "--repetitions", "4")
    (folder,) = (tmp_path / "r/try").iterdir()
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "testbed: the machine fake:dying ended before its program did; "
        f"the whole console: {folder}/console.log"
    )
    assert sorted(it.name for it in (folder / "runs").iterdir()) == ["0001", "0002"]
    assert (folder / "console.log").read_text() == "it was here: [1, 2, 3, 4]\n"


def test_of_a_machine_that_did_no_run_the_console_is_kept(run, tmp_path):
    done = run(
        "--machine", "fake:dying+virtual-time", "--repetitions", "4", "-j", "1", "--seed", "1"
    )
    assert done.exit_code == 1
    (folder,) = (tmp_path / "r/try").iterdir()
    assert (folder / "console.log").read_text() == "".join(
        f"it was here: [{run}]\n" for run in (1, 2, 3)
    )


MAIN = """
import sys
from pathlib import Path
from testbed.cli import main
from testbed.machine import registry
from tests import fakes
from tests.processes import until_gone
fakes.notes = Path(sys.argv.pop(1))
registry._KINDS["fake"] = "tests.fakes"
if __name__ == "__main__":
    main()
"""


def children(pid):
    """Return the processes that descend from one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["--sim", "fake:mute+virtual-time"])
def test_ctrl_c_ends_runs_side_by_side_at_once_and_leaves_nothing(tmp_path, where, number):
    (tmp_path / "try.yaml").write_text(
        TEXT.replace("size: 10KB", "size: 10KB, start: 1s")
        + "matrix: {workload.size: [10KB, 4000GB]}\n"
    )
    place = ["--sim"] if where == "--sim" else ["--machine", where]
    argv = [sys.executable, "-c", MAIN, str(tmp_path / "notes"), "run", str(tmp_path / "try.yaml")]
    argv += [*place, "--jobs", "2", "--results", str(tmp_path / "r"), "--seed", "1"]
    os.mkfifo(fakes.muted(tmp_path / "notes"))
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if where == "--sim":
            line = process.stderr.readline()  # the others last for hours
            assert line.startswith("try: 1/4 userspace (workload.size = 10KB): ok"), line
        else:
            assert process.stderr.readline() == f"machine: {where}\n"
            until_muted(tmp_path / "notes", 2)
        there = children(process.pid)
        assert len(there) >= 3
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
    finally:
        process.kill()
    assert err.splitlines()[-1] == "testbed: interrupted"
    assert "Traceback" not in err
    until_gone(there)
    if where == "--sim":
        assert "missing runs: 3; `testbed run --resume" in out, out
        (folder,) = (tmp_path / "r/try").iterdir()
        assert len(list((folder / "runs").iterdir())) == 1
    else:
        assert not (tmp_path / "r/try").exists()


def until_muted(noted, count):
    """Wait until so many mute machines have begun."""
    reading = os.open(fakes.muted(noted), os.O_RDWR)  # also for writing: so it has no end
    try:
        for _ in range(count):
            assert select.select([reading], [], [], 60)[0]
            assert os.read(reading, 1) == b"."
    finally:
        os.close(reading)


def test_what_is_started_inside_loads_nothing_that_only_people_need():
    """In emulation the load of an unnecessary library takes seconds."""
    code = (
        "import sys, testbed.campaign.inside, testbed.experiment.sandboxed\n"
        "heavy = {'numpy', 'scipy', 'networkx', 'rich', 'typer', 'pydantic', 'multiprocessing'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_runs_in_order_need_no_multiprocessing(tmp_path):
    """The module takes milliseconds to load."""
    (tmp_path / "try.yaml").write_text(TEXT)
    code = (
        "import sys, testbed\n"
        "testbed.run(testbed.load(sys.argv[1], machine='sim'), sys.argv[2])\n"
        "sys.exit('multiprocessing' in sys.modules)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "try.yaml"), str(tmp_path)]
    assert subprocess.run(argv, check=False).returncode == 0
