"""Workers of a Dask cluster: which of them get runs, and what is stored when some are lost."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.campaign import runner
from testbed.campaign.at_worker import Answer, Question, digests, look, read
from testbed.campaign.cluster import Cluster, Site, connected, site
from testbed.campaign.fitness import Fitness
from testbed.campaign.jobs import Definition
from testbed.campaign.watching import Quiet
from testbed.errors import InputError, PlatformError, TestbedError
from testbed.experiment.load import Experiment, load
from testbed.experiment.overrides import Overrides
from testbed.results.environment import gather
from testbed.results.model import RunRecord
from testbed.results.store import Store

EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
stacks: [userspace, userspace-tcp]
workload: {kind: reqres, count: 5, from: client, to: server}
matrix: {links.wifi.delay: [5ms, 10ms]}
repetitions: 2
"""
# Fields with time, place and duration of a run, not its results.
CIRCUMSTANCES = ("started_at", "seconds", "load", "cpu")


class Noting(Quiet):
    """Notes the runs that are over, and does something after the first one."""

    def __init__(self, after_first: Callable[[], None] = lambda: None) -> None:
        self.ended: list[int] = []
        self._after_first = after_first

    def end(self, record: RunRecord) -> None:
        self.ended.append(record.number)
        if len(self.ended) == 1:
            self._after_first()


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    file = tmp_path_factory.mktemp("experiment") / "try.yaml"
    file.write_text(EXPERIMENT)
    return load(file, Overrides(machine="sim"))


@pytest.fixture(scope="module")
def in_order(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = runner.create(experiment, tmp_path_factory.mktemp("in order"))
    runner.carry_out(experiment, store, runner.plan(experiment), Quiet(), fail_fast=False)
    return files(store)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cluster(told: list[str]) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="dask.distributed, an extra, is not installed")
    with connected(Site(workers=2), told.append) as it:
        yield it


def files(store: Store) -> dict[str, Any]:
    """Return all files of a folder, without what says when and where."""
    found: dict[str, Any] = {}
    for path in sorted(it for it in store.path.rglob("*") if it.is_file()):
        content: Any = path.read_bytes()
        if path.name == "run.json":
            content = {k: v for k, v in json.loads(content).items() if k not in CIRCUMSTANCES}
        elif path.name == "experiment.json":
            content = {k: v for k, v in json.loads(content).items() if k != "created_at"}
        elif path.name == "manifest.jsonl":
            content = re.sub(rb',"seconds":[^,}]*', b"", content)
        found[str(path.relative_to(store.path))] = content
    found.pop("workers.jsonl", None)
    return found


def test_workers_give_the_very_same_files(
    experiment: Experiment, in_order: dict[str, Any], cluster: Cluster, tmp_path: Path
) -> None:
    store, watcher = runner.create(experiment, tmp_path), Noting()
    runs = runner.plan(experiment)
    runner.carry_out(experiment, store, runs, watcher, fail_fast=False, cluster=cluster)
    assert watcher.ended == [run.number for run in runs]
    assert len([name for name in in_order if name.endswith("run.json")]) == 8
    assert files(store) == in_order
    workers = [json.loads(it) for it in (store.path / "workers.jsonl").read_text().splitlines()]
    assert [it["machine"] for it in workers] == ["sim", "sim"]


def test_dask_itself_logs_nothing(cluster: Cluster) -> None:
    names = [it for it in logging.root.manager.loggerDict if it.startswith("distributed.")]
    assert "distributed.client" in names
    loggers = map(logging.getLogger, ["distributed", *names])
    assert [it.name for it in loggers if it.isEnabledFor(logging.CRITICAL)] == []


def test_a_second_cluster_on_this_host_is_no_trouble(cluster: Cluster) -> None:
    with connected(Site(workers=1), print) as second:  # a warning would be an error
        assert len(second.workers()) == 1
        ports = [it.client.scheduler_info()["services"]["dashboard"] for it in (cluster, second)]
        assert len({8787, *ports}) == 3


def test_ctrl_c_does_not_reach_workers_of_this_host(cluster: Cluster) -> None:
    assert os.getsid(0) not in cluster.client.run(os.getsid, 0).values()


def test_without_workers_it_ends(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Empty:
        name = "tcp://scheduler:8786"

        def workers(self) -> list[str]:
            return []

    monkeypatch.setattr("testbed.campaign.workers._PATIENCE_S", 0.0)
    store, runs = runner.create(experiment, tmp_path), runner.plan(experiment)
    empty: Any = Empty()
    with pytest.raises(TestbedError, match="8786 has had no fit worker for 0 s"):
        runner.carry_out(experiment, store, runs, Quiet(), fail_fast=False, cluster=empty)


def test_runs_of_a_worker_that_is_killed_are_done_again(
    experiment: Experiment,
    in_order: dict[str, Any],
    cluster: Cluster,
    told: list[str],
    tmp_path: Path,
) -> None:
    pids: dict[str, int] = cluster.client.run(os.getpid)
    address = min(pids)
    told.clear()
    watcher = Noting(lambda: os.kill(pids[address], signal.SIGKILL))
    store, runs = runner.create(experiment, tmp_path), runner.plan(experiment)
    runner.carry_out(experiment, store, runs, watcher, fail_fast=False, cluster=cluster)
    assert watcher.ended == [run.number for run in runs]
    assert files(store) == in_order
    assert re.match(
        f"the worker {re.escape(address)} is gone; other workers repeat its runs: ", told[0]
    )


def test_a_run_that_kills_its_workers_is_not_tried_for_ever(
    experiment: Experiment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def kill(_: bytes) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    monkeypatch.setattr("testbed.campaign.at_worker.work", kill)
    monkeypatch.setattr("testbed.campaign.workers._LOSSES", 1)
    store, runs = runner.create(experiment, tmp_path), runner.plan(experiment)[:1]
    with pytest.raises(TestbedError, match="run 1 was given to 1 workers, and all were lost"):
        runner.carry_out(experiment, store, runs, Quiet(), fail_fast=False, cluster=cluster)


def test_after_the_scheduler_is_killed_the_rest_can_be_done(
    experiment: Experiment, in_order: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="dask.distributed, an extra, is not installed")
    with started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard") as boss:
        assert boss.stderr is not None
        address = next(found[0] for it in boss.stderr if (found := re.search(r"tcp://\S+", it)))
        local = ("--no-nanny", "--no-dashboard", "--nthreads", "1")
        store, runs = runner.create(experiment, tmp_path), runner.plan(experiment)
        with (
            started("dask_worker", address, *local, "--local-directory", str(tmp_path / "dask")),
            connected(site(address), print) as cluster,
            pytest.raises(TestbedError, match=f"the scheduler at {address} is gone"),
        ):
            runner.carry_out(
                experiment, store, runs, Noting(boss.kill), fail_fast=False, cluster=cluster
            )
    missing = runner.missing(experiment, store, again=False)
    assert 1 <= len(missing) < len(runs)
    runner.carry_out(runner.resume(store), store, missing, Quiet(), fail_fast=False)
    assert files(store) == in_order


class started(subprocess.Popen[str]):  # noqa: N801 - used as a function
    """A command of Dask, until the end of the context."""

    def __init__(self, command: str, *arguments: str) -> None:
        argv = [sys.executable, "-m", f"distributed.cli.{command}", *arguments]
        super().__init__(argv, stderr=subprocess.PIPE, text=True)

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.communicate()


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(PlatformError, match=r"pip install 'testbed\[distributed\]'"),
        connected(Site(workers=1), print),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_named() -> None:
    pytest.importorskip("distributed", reason="dask.distributed, an extra, is not installed")
    with (
        pytest.raises(PlatformError, match=r"there is no scheduler at tcp://127\.0\.0\.1:1"),
        connected(Site(address="tcp://127.0.0.1:1"), print, patience_s=0.2),
    ):
        pass


@pytest.mark.parametrize("text", ["local:0", "local:x", "local:", "local:513"])
def test_a_number_of_workers_is_one(text: str) -> None:
    with pytest.raises(InputError, match="the number of workers must be from 1 to 512"):
        site(text)


@pytest.mark.parametrize("text", ["", "tcp://", "scheduler:8786"])
def test_a_cluster_has_an_address(text: str) -> None:
    with pytest.raises(InputError, match="is neither local:N nor the address of a scheduler"):
        site(text)


HERE = gather("sim")
HOST = msgspec.structs.replace(HERE, machine="host")


def answer(host: str = "a", **changes: Any) -> Answer:
    return Answer(environment=msgspec.structs.replace(HOST, **changes), host=host)


def test_workers_that_differ_are_refused_where_time_is_real() -> None:
    answers = {"tcp://one": answer("a"), "tcp://two": answer("b", memory=1)}
    with pytest.raises(InputError, match="the workers tcp://one and tcp://two differ: memory"):
        Fitness(None).settle(answers)


def test_workers_whose_kernels_can_do_other_things_differ() -> None:
    one, two = answer("a"), answer("b")
    answers = {
        "tcp://one": msgspec.structs.replace(one, features={"netem": True}),
        "tcp://two": msgspec.structs.replace(two, features={"netem": False}),
    }
    with pytest.raises(InputError, match="differ: feature netem"):
        Fitness(None).settle(answers)


def test_a_worker_that_differs_and_comes_later_gets_no_runs() -> None:
    fitness = Fitness(None)
    fitness.settle({"tcp://one": answer("a")})
    assert fitness.refusal(answer("b"), ["a"]) == ""
    assert fitness.refusal(answer("b", root=not HOST.root), ["a"]).startswith("it differs: root")


def test_where_time_is_real_a_kernel_does_one_run_at_a_time() -> None:
    fitness = Fitness(None)
    fitness.settle({"tcp://one": answer("a"), "tcp://two": answer("a")})
    assert fitness.refusal(answer("a"), []) == ""
    assert "would disturb one another" in fitness.refusal(answer("a"), ["a"])


def test_simulations_are_the_same_on_every_kernel_and_not_with_every_version() -> None:
    fitness = Fitness(HERE)
    other = msgspec.structs.replace(HERE, memory=1, root=not HERE.root)
    assert fitness.refusal(Answer(environment=other, host="a"), ["a"]) == ""
    other = msgspec.structs.replace(HERE, testbed="0.0.1", build="compiled")
    assert fitness.refusal(Answer(environment=other), []) == (
        f"it differs: testbed: {HERE.testbed}, 0.0.1; build: {HERE.build}, compiled"
    )


def test_a_worker_without_a_trace_says_so(experiment: Experiment, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time,rate\n0s,10mbit\n")
    definition = Definition.of(experiment)

    def why() -> str:
        question = Question(definition=definition, files=known)
        return read(look(msgspec.msgpack.encode(question)), Answer).why

    known = digests([str(trace)])
    assert why() == ""
    trace.write_text("time,rate\n0s,20mbit\n")
    assert why() == f"the file {trace} is missing, or differs from the original"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--on", "local:2"), "--on local:2: 2 runs at a time would disturb one another on host"),
        (("--sim", "--on", "local:2", "-j", "2"), "--jobs cannot be used with --on"),
        (("--on", "local:1", "--machine", "uml:7.3"), "workers cannot start the machine"),
    ],
)
def test_what_contradicts_a_cluster_is_refused(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "testbed", "run", *options, str(tmp_path / "try.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
