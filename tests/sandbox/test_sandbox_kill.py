"""SIGKILL of anything at any moment leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import select
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from testbed.topology.model import Topology
from testbed.topology.operations import Plan
from tests.isolation import isolated
from tests.processes import marked

PAIR = Topology(name="pair", nodes=(), links=())
pytestmark = pytest.mark.sandbox

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
ROUNDS = 50
PARALLEL = 4
VICTIMS = ("creator", "stem", "holder", "emulator", "process")
MARKERS = ("started", "created", "built", "running")
DEADLINE_S = 20.0
WAYS = [
    pytest.param("root", marks=pytest.mark.root),
    pytest.param("rootless"),
]


class Subject:
    """A running ``subject.py``, known by a word in the environment of all it starts."""

    def __init__(self, way: str, plan: bytes, *, background: bool = False) -> None:
        self.mark = f"kill-{secrets.token_hex(6)}"
        argv = [
            sys.executable,
            str(HERE / "subject.py"),
            self.mark,
            "background" if background else "foreground",
        ]
        if way == "rootless" and os.geteuid() == 0:
            argv = [sys.executable, str(HERE / "rootless.py"), *argv]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TESTBED_MARK": self.mark, "PYTHONPATH": str(PROJECT)},
            stderr=subprocess.DEVNULL,  # most processes end with an exception, as intended
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(plan)
        self.process.stdin.close()

    def wait_for(self, marker: str) -> None:
        """Wait until it says that it has come so far."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.decode().strip() == marker:
                return
        raise AssertionError(f"the subject ended before it was {marker}")

    def let_run(self, seconds: float) -> None:
        """Let it go on for a moment, or until it ends."""
        assert self.process.stdout is not None
        select.select([self.process.stdout], [], [], seconds)

    def processes(self) -> dict[int, str]:
        """Return what lives of it: pid -> command line."""
        return marked(self.mark)

    def victim(self, kind: str) -> int:
        """Return the process to kill; the creator where there is none of the kind yet."""
        processes = self.processes()
        holders = sorted(pid for pid, text in processes.items() if "sandbox.holder" in text)
        chosen = {
            "stem": holders[:1],
            "holder": holders[1:],
            "emulator": [pid for pid, text in processes.items() if "wire.emulator" in text],
            "process": [pid for pid, text in processes.items() if text.startswith("sleep")],
        }.get(kind)
        return chosen[0] if chosen else self.process.pid

    def end(self) -> None:
        """Kill the creator if it still lives, and reap it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def traces() -> set[str]:
    """Return what of a sandbox could be seen outside when no process of it lives."""
    found = set(Path("/proc/self/mountinfo").read_text().splitlines())
    found.update(f"interface {each.name}" for each in Path("/sys/class/net").iterdir())
    found.update(
        line.split()[7]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if "@testbed/" in line
    )
    for folder in ("/run", "/run/netns", "/dev/shm"):
        with contextlib.suppress(FileNotFoundError):
            found.update(f"{folder}/{each.name}" for each in Path(folder).iterdir())
    return found


def assert_nothing_left(subject: Subject) -> None:
    """Wait until neither a process nor the name of the subject is left."""
    deadline = time.monotonic() + DEADLINE_S
    while subject.processes() or any(subject.mark in trace for trace in traces()):
        assert time.monotonic() < deadline, f"left behind: {subject.processes()}"
        for pid in subject.processes():
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                select.select([pidfd], [], [], DEADLINE_S)
                os.close(pidfd)


@pytest.fixture
def plan(plans: types.SimpleNamespace) -> bytes:
    operations = tuple(plans.wired("delay 1ms", "delay 1ms"))
    return msgspec.json.encode(Plan(topology=PAIR, operations=operations))


def moments(way: str) -> Iterator[tuple[str, str, float]]:
    """Yield (what to kill, after which marker, how many seconds later), seeded."""
    chance = random.Random(way)
    for number in range(ROUNDS):
        yield VICTIMS[number % len(VICTIMS)], chance.choice(MARKERS), chance.uniform(0, 0.05)


def kill_once(way: str, plan: bytes, moment: tuple[str, str, float]) -> None:
    """Start a subject, kill a part of it, and see that everything goes."""
    kind, marker, later_s = moment
    subject = Subject(way, plan)
    try:
        subject.wait_for(marker)
        subject.let_run(later_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(subject.victim(kind), signal.SIGKILL)
        if kind == "process":  # the sandbox lives on without it
            subject.process.kill()
        subject.process.wait(DEADLINE_S)
        assert_nothing_left(subject)
    finally:
        subject.end()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", WAYS)
@isolated
def test_kill_at_random_moments_leaves_nothing(way: str, plan: bytes) -> None:
    before = traces()
    with ThreadPoolExecutor(PARALLEL) as pool:
        for done in [pool.submit(kill_once, way, plan, moment) for moment in moments(way)]:
            done.result()
    assert traces() <= before


@pytest.mark.parametrize("way", WAYS)
def test_kill_of_a_background_sandboxs_holder_leaves_nothing(way: str, plan: bytes) -> None:
    subject = Subject(way, plan, background=True)
    try:
        subject.wait_for("detached")
        assert subject.process.wait(DEADLINE_S) == 0
        living = subject.processes()
        assert any("wire.emulator" in text for text in living.values())
        (holder,) = (pid for pid, text in living.items() if "sandbox.holder" in text)
        os.kill(holder, signal.SIGKILL)
        assert_nothing_left(subject)
    finally:
        subject.end()


COUNTED = """
import asyncio, os, signal, sys
from pathlib import Path
import msgspec
from testbed.sandbox import Sandbox, syscalls
from testbed.topology.operations import Plan
from tests.isolation import isolated
from tests.processes import marked

uid, gid = os.geteuid(), os.getegid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


async def build_and_kill():
    sandbox = await Sandbox.create()
    await sandbox.execute(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan))
    os.kill(sandbox.holder_pid, signal.SIGKILL)


asyncio.run(build_and_kill())
# From here on this user namespace may have one network namespace: only when all are gone.
Path("/proc/sys/user/max_net_namespaces").write_text("1")
while True:  # until the test's time is over
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    except OSError:
        continue
    print("freed")
    break
"""


@pytest.mark.parametrize("way", WAYS)
def test_the_kernel_frees_every_network_namespace(way: str, plan: bytes) -> None:
    """The kernel counts a user namespace's network namespaces, those without a process too."""
    argv = [sys.executable, "-c", COUNTED]
    if way == "rootless" and os.geteuid() == 0:
        argv = [sys.executable, str(HERE / "rootless.py"), *argv]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(argv, input=plan, capture_output=True, env=environment, check=False)
    assert done.stdout == b"freed\n", done.stderr.decode()
