"""Processes that are started as a machine, or for one."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("kind", ["host", "started"])
def test_a_signal_that_comes_right_after_the_fork_is_not_lost(kind: str) -> None:
    """Python ignores the exception of a handler in a function that runs after a fork."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from testbed.cli.ending import end_on_sigterm\n"
        "from testbed.machine import host, processes\n"
        "from testbed.machine.model import Program\n"
        "end_on_sigterm()\n"
        "raised = lambda: signal.raise_signal(signal.SIGTERM)\n"
        "os.register_at_fork(after_in_parent=raised)\n"
        "argv = ('sleep', 'infinity')\n"
        "if sys.argv[1] == 'host':\n"
        "    here = Path.cwd()\n"
        "    program = Program(argv=argv, directory=here, environment=dict(os.environ))\n"
        "    host.Host().execute(program, console=here / 'none')\n"
        "else:\n"
        "    processes.start(argv, output=1).wait()\n"
    )
    command = [sys.executable, "-c", code, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (143, "")
