"""Ctrl-C at each fork of a script, in a process group and, without root, namespaces of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from typing import Final

MOMENTS: Final = [
    f"{place} fork {number}"
    for number, place in product((1, 2), ("before", "in the parent of", "in the child of"))
]

# The terminal's Ctrl-C is a signal to the process group.
_PREFACE: Final = """
import os, signal, sys

moment, forks, fork = sys.argv[1], 0, os.fork

def ctrl_c(at):
    if at == moment:
        os.killpg(0, signal.SIGINT)

def forked():
    global forks
    forks += 1
    ctrl_c(f"before fork {forks}")
    child = fork()
    ctrl_c(f"in the parent of fork {forks}" if child else f"in the child of fork {forks}")
    return child

os.fork = forked
"""


def run(script: str, moment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with a Ctrl-C at a moment. Returns when all of its processes have ended."""
    argv = [sys.executable, "-c", _PREFACE + script, moment]
    if os.geteuid():
        argv = ["unshare", "-Urnm", *argv]
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        start_new_session=True,
    )
