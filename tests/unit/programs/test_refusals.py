"""Messages where programs cannot run over our stack."""

from __future__ import annotations

import errno
import socket

import pytest

from testbed.errors import PlatformError, TestbedError
from testbed.programs.keeper import introduced


def refused(number):
    """Return the error where the program's process says why it has no filter."""
    near, far = socket.socketpair()
    with near, far:
        far.send(str(number).encode())
        with pytest.raises(TestbedError) as caught:
            introduced(near)
    return caught.value


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL])
def test_seccomp_is_not_permitted(number):
    error = refused(number)
    assert isinstance(error, PlatformError)
    assert str(error).startswith("seccomp user notification is not permitted here")
    assert "--security-opt seccomp=unconfined" in str(error)
    assert "testbed nc" in str(error)


def test_there_is_a_supervisor_already():
    error = refused(errno.EBUSY)
    assert isinstance(error, PlatformError)
    assert "already runs under a supervisor" in str(error)
    assert "remove one" in str(error)


def test_something_else():
    error = refused(errno.ENOMEM)
    assert error.exit_code == 1
    assert "Cannot allocate memory" in str(error)


def test_a_process_that_ends_without_a_word():
    near, far = socket.socketpair()
    with near:
        far.close()
        with pytest.raises(TestbedError, match="could not be prepared"):
            introduced(near)
