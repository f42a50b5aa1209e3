"""Errors cross from one process to another."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError, OperationError, PlatformError, WorkloadError
from testbed.failure import Failure


@pytest.mark.parametrize(
    "error",
    [
        WorkloadError("it broke", hint="mend it"),
        PlatformError("no MPTCP", why="old kernel", instead="a new one"),
        OperationError("add an address", wanted="10.0.0.1", seen="nothing", hint="look"),
        InputError("bad", hint="leave it out"),
    ],
)
@pytest.mark.parametrize("form", [msgspec.json, msgspec.msgpack])
def test_an_error_is_the_same_on_the_other_side(error, form):
    again = form.decode(form.encode(Failure.of(error)), type=Failure).error()
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.exit_code == error.exit_code
