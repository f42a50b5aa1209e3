"""Result folders: whole or not there, readable at any moment."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
from pathlib import Path

import msgspec
import pytest

from testbed.errors import InputError, StoreError
from testbed.results import directories
from testbed.results.environment import gather
from testbed.results.manifest import Entry
from testbed.results.model import (
    SCHEMA,
    WORKLOAD,
    ExperimentRecord,
    FlowRecord,
    Proof,
    RunRecord,
    Status,
)
from testbed.results.store import Store

EXPERIMENT = ExperimentRecord(
    name="quick",
    topology="two_paths",
    spec={"stacks": ["tcp"]},
    created_at="2026-03-14T15:09:26.535+00:00",
    version="0.1.0",
)

VERSION_1 = Path(__file__).parent / "version1"
PROOF = Proof(expected_subflows=2, subflows=2, counters={"client": {"TcpActiveOpens": 1}})


def record(number, status=Status.OK, reason=None):
    return RunRecord(
        number=number,
        stack="mptcp",
        parameters={"links.wifi.delay": "10ms"},
        repetition=1,
        seed=2**63 - 1,
        status=status,
        reason=reason,
        started_at="2026-03-14T15:09:26.535+00:00",
        seconds=1.5,
        metrics={"goodput": 1e7},
        flows={WORKLOAD: FlowRecord(kind="bulk", source="client", target="server", proof=PROOF)},
    )


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "results", EXPERIMENT, gather())


def test_the_folder_keeps_the_traces(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "link.csv").write_text(f"time_s,delay_ms\n0,{number + 1}\n")
    traces = [str(folder / "link.csv") for folder in folders]
    store = Store.create(tmp_path / "results", EXPERIMENT, gather(), files=traces)
    kept = sorted((store.path / "files").iterdir())
    assert [file.name for file in kept] == ["01-link.csv", "02-link.csv"]
    assert [file.read_text() for file in kept] == [Path(name).read_text() for name in traces]


def test_a_folder_is_named_by_experiment_time_and_specification(store, tmp_path):
    assert store.path.parent == tmp_path / "results" / "quick"
    assert store.path.name.startswith("20260314T150926Z-")
    other = msgspec.structs.replace(EXPERIMENT, spec={"stacks": ["mptcp"]})
    assert Store.create(tmp_path, other, gather()).path.name != store.path.name


def test_two_within_a_second_do_not_share_a_folder(store, tmp_path):
    again = Store.create(tmp_path / "results", EXPERIMENT, gather())
    third = Store.create(tmp_path / "results", EXPERIMENT, gather())
    assert len({store.path, again.path, third.path}) == 3


def test_what_is_written_is_read_back_from_a_copy(store, tmp_path):
    directory = store.begin_run(2)
    (directory / "series.jsonl").write_bytes(b'{"t_ns":1}\n')
    (directory / "client-python.log").write_bytes(b"hello")
    store.finish_run(record(2))
    store.begin_run(1)
    store.finish_run(record(1, status=Status.FAILED, reason="why"))
    copy = Path(shutil.copytree(store.path, tmp_path / "elsewhere"))
    shutil.rmtree(store.path)
    read = Store.open(copy)
    assert read.experiment() == EXPERIMENT
    assert read.environment() == gather()
    assert read.runs() == [record(1, status=Status.FAILED, reason="why"), record(2)]
    assert (copy / "runs/0002/series.jsonl").read_text() == '{"t_ns":1}\n'
    assert (copy / "runs/0002/client-python.log").read_text() == "hello"


def test_nothing_in_a_folder_names_the_place_it_was_made_in(store, tmp_path):
    store.begin_run(1)
    store.finish_run(record(1))
    for path in store.path.rglob("*.json"):
        assert str(tmp_path) not in path.read_text()


def test_a_run_that_did_not_finish_is_not_there_and_is_begun_afresh(store):
    (store.begin_run(1) / "client-wifi.pcap").write_bytes(b"half")
    assert store.runs() == []
    assert list(store.begin_run(1).iterdir()) == []


def test_without_any_run_the_folder_can_be_discarded(store, tmp_path):
    store.begin_run(1)
    assert store.discard_if_empty()
    assert list((tmp_path / "results").iterdir()) == []


def test_with_a_run_it_cannot(store):
    store.begin_run(1)
    store.finish_run(record(1))
    assert not store.discard_if_empty()
    assert store.runs() == [record(1)]


@contextlib.contextmanager
def full_disk():
    """Let no file grow beyond 4 KiB: the kernel's answer is EFBIG, as ENOSPC is on a full disk.

    For a moment only: the report of the tests may go to a file as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_the_error_is_clear_and_finished_runs_stay(store):
    store.begin_run(1)
    store.finish_run(record(1))
    store.begin_run(2)
    message = r"0002 cannot be written: File too large; finished runs are kept; .*--resume"
    with pytest.raises(StoreError, match=message), full_disk():
        store.finish_run(record(2, reason="x" * 8192))
    assert store.runs() == [record(1)]
    assert [path.name for path in (store.path / "runs").iterdir()] == ["0001"]


def test_before_the_first_run_nothing_is_said_of_resuming(store):
    store.begin_run(1)
    message = "File too large; no run is stored yet; make room"
    with pytest.raises(StoreError, match=message), full_disk():
        store.finish_run(record(1, reason="x" * 8192))


def test_where_no_folder_can_be_written_whole_none_is_left(tmp_path):
    large = msgspec.structs.replace(EXPERIMENT, spec={"stacks": ["x" * 8192]})
    with pytest.raises(InputError, match="File too large; choose another"), full_disk():
        Store.create(tmp_path / "results", large, gather())
    assert list((tmp_path / "results").iterdir()) == []


def test_a_run_that_is_done_again_replaces_the_old_one_when_it_is_over(store):
    (store.begin_run(1) / "client-wifi.pcap").write_bytes(b"old")
    store.finish_run(record(1, status=Status.FAILED))
    begun = store.begin_run(1)
    (begun / "server-wifi.pcap").write_bytes(b"new")
    assert store.runs() == [record(1, status=Status.FAILED)]
    assert (store.path / "runs/0001/client-wifi.pcap").read_bytes() == b"old"
    store.finish_run(record(1))
    assert store.runs() == [record(1)]
    assert {path.name for path in (store.path / "runs/0001").iterdir()} == {
        "run.json",
        "server-wifi.pcap",
    }
    assert [path.name for path in (store.path / "runs").iterdir()] == ["0001"]


@pytest.mark.parametrize("exchange", [True, False])
def test_the_old_run_stays_where_the_new_one_cannot_be_written(store, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(directories, "_renameat2", lambda *_: False)
    store.begin_run(1)
    store.finish_run(record(1, status=Status.FAILED))
    store.begin_run(1)
    with pytest.raises(StoreError), full_disk():
        store.finish_run(record(1, reason="x" * 8192))
    assert store.runs() == [record(1, status=Status.FAILED)]
    store.begin_run(1)
    store.finish_run(record(1))
    assert store.runs() == [record(1)]


def test_what_an_interrupted_writer_left_is_gone_after_the_next(store):
    with store.writing():
        store.begin_run(1)
        store.finish_run(record(1))
    (store.path / "runs/.0002").mkdir()
    (store.path / "runs/.0002/half.pcap").write_bytes(b"half")
    (store.path / "runs/.0003.errand").write_bytes(b"{}")
    with store.writing():
        assert [path.name for path in (store.path / "runs").iterdir()] == ["0001"]
        store.begin_run(2)
    assert [path.name for path in (store.path / "runs").iterdir()] == ["0001"]


def test_of_the_manifest_a_full_disk_leaves_no_half_line(store):
    store.begin_run(1)
    store.finish_run(record(1))
    store.begin_run(2)
    size = (store.path / "manifest.jsonl").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store._manifest.add(Entry(run=2, status=Status.OK))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (store.path / "manifest.jsonl").stat().st_size == size


def test_what_the_manifest_does_not_say_is_read_from_the_runs(store):
    for number in (1, 2):
        store.begin_run(number)
        store.finish_run(record(number))
    manifest = store.path / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"\x00\xff\n" + lines[1])
    said = []
    assert store.runs(said.append) == [record(1), record(2)]
    assert [str(error) for error in said] == [f"{manifest}:1 is damaged"]
    with pytest.raises(StoreError, match=r"manifest.jsonl:1 is damaged"):
        store.runs()
    with store.writing():
        assert store.runs() == [record(1), record(2)]


def test_each_damaged_file_is_told_of_and_the_rest_is_read(store):
    for number in (1, 2, 3):
        store.begin_run(number)
        store.finish_run(record(number))
    (store.path / "runs/0001/run.json").write_text('{"schema": 2, "number": ')
    (store.path / "runs/0003/run.json").write_bytes(b"\xff")
    said = []
    assert store.runs(said.append) == [record(2)]
    assert [error.message.partition(" is ")[0] for error in said] == [
        str(store.path / f"runs/000{number}/run.json") for number in (1, 3)
    ]


def test_a_place_that_cannot_be_written_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory; choose another --results"):
        Store.create(tmp_path / "file", EXPERIMENT, gather())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_permission_is_the_users_mistake(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        Store.create(tmp_path, EXPERIMENT, gather())


def test_what_is_no_result_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no experiment\.json"):
        Store.open(tmp_path)


def test_a_damaged_file_is_named(store):
    store.begin_run(3)
    store.finish_run(record(3))
    folder = store.path / "runs/0003"
    (folder / "run.json").write_text('{"schema": 1, "number": ')
    with pytest.raises(StoreError, match=r"0003/run.json is damaged"):
        store.runs()


def test_a_number_that_nothing_can_be_computed_with_is_damage(store):
    store.begin_run(3)
    store.finish_run(record(3))
    file = store.path / "runs/0003/run.json"
    file.write_text(file.read_text().replace("10000000.0", "1e308"))
    with pytest.raises(StoreError, match=r"0003/run.json is damaged: .*1e\+100"):
        store.runs()


def test_a_view_of_another_shape_is_damage(store):
    store.begin_run(3)
    store.finish_run(record(3))
    file = store.path / "runs/0003/run.json"
    end = '{"source": {"node": "client", "view": {"tcp_info": {"rtt": "fast"}}}}'
    file.write_text(re.sub(r'"details": {}', f'"details": {end}', file.read_text()))
    with pytest.raises(StoreError, match=r"0003/run.json is damaged: .*tcp_info.rtt"):
        store.runs()


@pytest.mark.parametrize(
    "text", ['{"schema": 1}', '{"schema": 1, "stack": "tcp", "parameters": 3, "proof": {}}']
)
def test_a_damaged_file_of_schema_1_is_named(tmp_path, text):
    folder = shutil.copytree(VERSION_1, tmp_path / "copy")
    (folder / "runs/0002/run.json").write_text(text)
    with pytest.raises(StoreError, match=r"0002/run.json is damaged"):
        Store.open(folder).runs()


def test_a_run_that_cannot_be_read_is_not_taken_for_one_that_is_missing(store):
    store.begin_run(1)
    store.finish_run(record(1))
    folder = store.path / "runs/0001"
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("run.json")  # even root cannot read this
    with pytest.raises(StoreError, match=r"0001/run.json cannot be read"):
        store.runs()


def test_what_is_no_run_of_schema_1_is_not_read(tmp_path):
    folder = shutil.copytree(VERSION_1, tmp_path / "copy")
    shutil.copytree(folder / "runs/0002", folder / "runs/before")
    assert sorted(Store.open(folder).over()) == [2, 4, 5]


def test_who_cannot_write_a_folder_is_told(store):
    (store.path / "manifest.jsonl").unlink()
    (store.path / "manifest.jsonl").mkdir()  # even root cannot write this
    with pytest.raises(StoreError, match=r"manifest.jsonl cannot be written"), store.writing():
        pass


def test_a_folder_of_a_newer_version_is_not_misread(store):
    content = msgspec.json.decode((store.path / "experiment.json").read_bytes())
    newer = msgspec.json.encode(content | {"schema": SCHEMA + 1})
    (store.path / "experiment.json").write_bytes(newer)
    with pytest.raises(StoreError, match="use a newer testbed"):
        store.experiment()


def test_a_folder_of_schema_1_is_read():
    store = Store.open(VERSION_1)
    runs = {run.stack: run for run in store.runs()}
    assert [run.schema for run in runs.values()] == [SCHEMA] * 3
    flow = runs["mptcp"].flows[WORKLOAD]
    assert (flow.kind, flow.source, flow.target, flow.port) == ("bulk", "client", "server", 5001)
    assert (flow.proof.subflows, runs["mptcp"].subflows) == (2, (2,))
    assert flow.details["target"]["received"]["octets"] == 2**20
    assert runs["mptcp"].metrics["goodput"] == pytest.approx(23.28e6, rel=1e-3)
    assert runs["tcp"].subflows == ()
    assert runs["userspace"].stacks[WORKLOAD].name == "userspace"


def test_what_probes_of_schema_1_wrote_is_read_as_records():
    store = Store.open(VERSION_1)
    for number in (2, 4, 5):
        lines = (VERSION_1 / f"runs/{number:04d}/series.jsonl").read_bytes().splitlines()
        series = store.series(number)
        assert len(series) == len(lines)
        assert [record.t_ns for record in series] == [
            msgspec.json.decode(line)["t_ns"] for line in lines
        ]
