"""A program over a stack of ours: what is said before it starts."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.workload import with_stack
from testbed.workload.stacks.choice import ours


def test_a_report_that_cannot_be_written(tmp_path):
    chosen, report = ours("userspace"), tmp_path / "none" / "report"
    with pytest.raises(InputError, match=f"{report} cannot be written: No such file"):
        with_stack.run(["true"], chosen.name, chosen.decoded, report, {})
