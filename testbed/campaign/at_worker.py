"""The functions of a Dask worker in a campaign: it describes itself, and runs and stops jobs.

These functions are called in the worker. They take and return the structs of this module as
MessagePack, so that both sides validate their input.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from testbed.campaign.jobs import Bench, Definition, Job
from testbed.campaign.messages import Errand, Failed, Messages, Over
from testbed.errors import MachineError, TestbedError
from testbed.experiment.plugins import used
from testbed.experiment.venue import SIMULATION
from testbed.failure import Failure
from testbed.results.environment import Environment, Software, gather
from testbed.results.model import RunRecord

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_CHUNK: Final = 1 << 16

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The question whether a worker can carry out the runs of an experiment.

    :param files: the files that it names, with their SHA-256.
    """

    definition: Definition
    files: dict[str, str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's description of itself.

    :param environment: its environment, or ``None`` if it is unknown; then ``why`` is the reason.
    :param host: an identifier that all workers with the same kernel share. It is not stored.
    :param features: the kernel's features, as in `testbed doctor`; empty if runs are simulated.
    :param why: the reason why it cannot carry out the runs; empty if it can.
    """

    environment: Environment | None = None
    host: str = ""
    features: dict[str, bool] = {}
    why: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A job for a worker.

    :param campaign: the campaign of the job, for :func:`stop`.
    :param software: the software that the worker has described.
    :param plugins: the plugins that the runs use.
    """

    job: Job
    campaign: str
    software: Software
    plugins: dict[str, str]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a job: a record with the other files of the run, or a failure.

    :param files: the files by their names in the run's directory.
    """

    record: RunRecord | None = None
    files: dict[str, bytes] = {}
    failure: Failure | None = None


class _State:
    """The state that the functions of one worker process share.

    :ivar turn: the lock of the current run: a worker with several threads does one run at a time.
    :ivar bench: the bench that carries out simulations.
    :ivar processes: the processes of runs in real time, by their campaign.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.bench = Bench()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}


_state: Final = _State()


def read(octets: bytes, kind: type[T]) -> T:
    """Decode a message of the other side."""
    return msgspec.msgpack.decode(octets, type=kind)


def digests(paths: list[str]) -> dict[str, str]:
    """Return the SHA-256 of each file that can be read."""
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            continue
    return found


def dask_setup(_: object) -> None:
    """Move a worker that a campaign has started to a new session, out of reach of Ctrl-C.

    Dask calls this function in the worker, if the module is one of its preloads.
    """
    os.setsid()


def look(octets: bytes) -> bytes:
    """Answer a :class:`Question`."""
    question = read(octets, Question)
    try:
        answer = _look(question)
    except TestbedError as error:
        answer = Answer(why=str(error))
    return msgspec.msgpack.encode(answer)


def _look(question: Question) -> Answer:
    machine = question.definition.machine
    here = digests(list(question.files))
    lost = [path for path, digest in question.files.items() if here.get(path) != digest]
    if lost:
        return Answer(why=f"the file {lost[0]} is missing, or differs from the original")
    environment = gather(machine, plugins=used(question.definition.experiment()))
    if machine == SIMULATION:
        return Answer(environment=environment, host=_host())
    doctor = subprocess.run(
        [sys.executable, "-m", "testbed", "doctor", "--json"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if doctor.returncode:
        return Answer(why=doctor.stderr.decode(errors="replace").strip().removeprefix("testbed: "))
    found = json.loads(doctor.stdout)["features"]
    features = {each["name"]: each["present"] for each in found}
    return Answer(environment=environment, host=_host(), features=features)


def _host() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def work(octets: bytes) -> bytes:
    """Do the job of a :class:`Work` and return a :class:`Done`."""
    asked = read(octets, Work)
    with _state.turn, tempfile.TemporaryDirectory(prefix="testbed-run-") as name:
        directory = Path(name) / "run"
        directory.mkdir()
        try:
            record = _carry_out(asked, directory)
        except TestbedError as error:
            done = Done(failure=Failure.of(error))
        else:
            done = Done(record=record, files=dict(_files(directory)))
    return msgspec.msgpack.encode(done)


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(directory)), path.read_bytes()


def _carry_out(asked: Work, directory: Path) -> RunRecord:
    if asked.job.definition.machine == SIMULATION:
        return _state.bench.carry_out(asked.job, directory, lambda _: None)
    errand = Errand(
        definition=asked.job.definition,
        runs=((asked.job.run, str(directory)),),
        telling=False,
        software=asked.software,
        plugins=asked.plugins,
        parent=os.getpid(),
    )
    file = directory.parent / "errand"
    file.write_bytes(msgspec.json.encode(errand))
    argv = [sys.executable, "-m", "testbed.campaign.inside", str(file)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        _state.processes[asked.campaign] = process
        try:
            return _heard(process)
        finally:
            del _state.processes[asked.campaign]


def _heard(process: subprocess.Popen[bytes]) -> RunRecord:
    """Return the record that a process sends."""
    if process.stdout is None:  # never: the process has a pipe
        raise MachineError("the process of a run has no output")
    messages = Messages()
    record: RunRecord | None = None
    while octets := os.read(process.stdout.fileno(), _CHUNK):
        for message in messages.feed(octets):
            match message:
                case Over(record=said):
                    record = said
                case Failed(failure=failure):
                    raise failure.error()
    if record is None:
        raise MachineError(f"the process of a run ended with status {process.wait()}")
    return record


def stop(campaign: str) -> None:
    """End the run in real time of a campaign, if one is in progress."""
    process: Any = _state.processes.get(campaign)
    if process is not None:
        process.terminate()
