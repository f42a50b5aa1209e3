"""A simulation asks the machine for nothing that only Linux has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"

# Takes from Python what it has on Linux only, then runs the command line.
PROGRAM = """
import ctypes, os, select, signal, socket, sys

missing = {
    os: "memfd_create MFD_CLOEXEC setns unshare pidfd_open eventfd sched_getaffinity splice",
    socket: "AF_PACKET AF_NETLINK SO_PEERCRED SO_PROTOCOL SO_BINDTODEVICE TCP_INFO",
    select: "epoll EPOLLIN EPOLLOUT EPOLLERR EPOLLHUP EPOLLONESHOT",
    signal: "pidfd_send_signal",
}
for module, names in missing.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

class Library:
    def __init__(self, *arguments, **options):
        self.library = real(*arguments, **options)

    def __getattr__(self, name):
        if name in ("setns", "unshare", "prctl", "recvmmsg", "sendmmsg", "timerfd_create", "mount"):
            raise AttributeError(name)
        return getattr(self.library, name)

real, ctypes.CDLL = ctypes.CDLL, Library

from testbed.cli import main

main()
"""


def test_an_experiment_is_simulated_without_linux(tmp_path: Path) -> None:
    words = [
        "run", "--sim", str(EXPERIMENT), "--stack", "userspace", "--repetitions", "1",
        "--results", str(tmp_path), "--set", "workload.size=2MB",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1/1" in done.stdout
