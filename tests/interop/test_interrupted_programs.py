"""Ctrl-C while ``testbed with-stack`` forks: the command ends, in silence, and nothing stays."""

from __future__ import annotations

import pytest

from tests import interrupted_forks

pytestmark = pytest.mark.sandbox

SCRIPT = """
from testbed.programs import calls
from testbed.programs.keeper import Keeper

code = calls.program(calls.machine(os.uname().machine))
try:
    keeper = Keeper(["sleep", "infinity"], os.environ, code)
except KeyboardInterrupt:
    sys.exit(130)
keeper.go()
sys.exit(-keeper.returncode())
"""


@pytest.mark.parametrize("moment", interrupted_forks.MOMENTS)
def test_ctrl_c_at_each_fork(moment):
    done = interrupted_forks.run(SCRIPT, moment)
    assert done.stderr == ""
    assert done.returncode in (130, 2)  # the command ends, or its program by SIGINT
