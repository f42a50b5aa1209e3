"""Ctrl-C while ``testbed exec`` forks: it reaches the program, or ends the command, in silence."""

from __future__ import annotations

import pytest

from tests import interrupted_forks

pytestmark = pytest.mark.sandbox

# Runs a program in the namespaces of this process.
SCRIPT = """
from testbed.sandbox import attach

names = ("user", "mnt", "pid", "net")
entrance = attach.Entrance(*(os.open(f"/proc/self/ns/{it}", os.O_RDONLY) for it in names))
argv = ["sh", "-c", "exec sleep infinity"]
sys.exit(attach.run(entrance, argv, environment=dict(os.environ)))
"""


@pytest.mark.parametrize("moment", interrupted_forks.MOMENTS)
def test_ctrl_c_at_each_fork(moment):
    done = interrupted_forks.run(SCRIPT, moment)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_node_that_has_gone_is_one_line():
    gone = "entrance = entrance._replace(network=os.pipe()[0])\nargv ="
    done = interrupted_forks.run(SCRIPT.replace("argv =", gone), "never")
    assert done.returncode == 1
    assert done.stderr == "testbed: the node cannot be entered: setns: Invalid argument\n"
