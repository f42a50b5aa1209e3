"""Reading and writing the memory of a program, also on kernels without process_vm_readv(2)."""

import ctypes
import errno
import os

import pytest

from testbed.programs import target
from testbed.programs.seccomp import Notification


class Valid:
    def is_valid(self, _id: int) -> bool:
        return True


@pytest.fixture(params=["process_vm_readv", "/proc/PID/mem"])
def call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> target.Call:
    def missing(*_: object) -> int:
        ctypes.set_errno(errno.ENOSYS)
        return -1

    if request.param == "/proc/PID/mem":
        for name in ("process_vm_readv", "process_vm_writev"):
            monkeypatch.setattr(target._libc, name, missing)
    notification = Notification(id=1, pid=os.getpid(), number=0, arguments=(0,) * 6)
    return target.Call(Valid(), notification, "connect")  # type: ignore[arg-type]


def test_octets_are_read_and_written(call: target.Call) -> None:
    there = ctypes.create_string_buffer(b"before", 6)
    assert call.read(ctypes.addressof(there), 6) == b"before"
    call.write(ctypes.addressof(there), b"after.")
    assert there.raw == b"after."


def test_what_is_not_there_is_a_bad_address(call: target.Call) -> None:
    for attempt in (lambda: call.read(8, 4), lambda: call.write(8, b"four")):
        with pytest.raises(OSError, match="Bad address") as caught:
            attempt()
        assert caught.value.errno == errno.EFAULT
