"""The heir of a supervisor, without a network."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """\
import os, resource
from testbed.programs.heir import Heir

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
reader, writer = os.pipe()
os.dup2(writer, 1023)
heir = Heir()
os.write(1023, b"still the pipe")
heir.dismiss()
print(os.read(reader, 100).decode())
"""


def test_a_descriptor_in_use_is_not_replaced_when_the_table_grows():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "still the pipe\n")
