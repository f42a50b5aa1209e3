"""Errors cross from one process to another."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed import errors
from testbed.errors import (
    InputError,
    OperationError,
    PlatformError,
    SandboxError,
    TestbedError,
    WorkloadError,
)
from testbed.failure import Failure

WHOLE = InputError("bad", file=Path("a.yaml"), line=3, path="links.wifi", hint="leave it out")
SIMPLE = [
    kind("it broke", hint="mend it")
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, TestbedError)
    and kind not in (OperationError, PlatformError)
]


@pytest.mark.parametrize(
    "error",
    [
        *SIMPLE,
        PlatformError("no MPTCP", why="old kernel", instead="a new one"),
        OperationError("add an address", wanted="10.0.0.1", seen="nothing", hint="look"),
        WHOLE,
        InputError.together([WHOLE, InputError("worse", file="b.yaml", line=4)]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("form", [msgspec.json, msgspec.msgpack])
def test_an_error_is_the_same_on_the_other_side(error, form):
    again = form.decode(form.encode(Failure.of(error)), type=Failure).error()
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.exit_code == error.exit_code
    assert [str(it) for it in getattr(again, "every", ())] == [
        str(it) for it in getattr(error, "every", ())
    ]


def test_an_error_of_another_package_arrives_as_what_it_is_a_kind_of():
    class TheirError(WorkloadError):
        def __init__(self):
            super().__init__("theirs", hint="ask them")

    again = Failure.of(TheirError()).error()
    assert (type(again), str(again)) == (WorkloadError, "theirs; ask them")


def test_a_sandbox_error_is_none_of_the_users_input():
    assert not isinstance(Failure.of(SandboxError("no")).error(), InputError)
