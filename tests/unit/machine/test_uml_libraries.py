"""The libraries that are preloaded into a user-mode Linux."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess

import pytest

from testbed.machine.uml import builds

PTRACE_TRACEME, PTRACE_GETREGSET, PTRACE_SETREGSET = 0, 0x4204, 0x4205
NT_X86_XSTATE = 0x202
KNOWN = 576  # octets: FXSAVE and its header, which each processor has; a kernel of old knows 2696

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or os.uname().machine != "x86_64", reason="needs gcc and x86-64"
)


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "regset.so"
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", path, builds.REGSET]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(path), use_errno=True)


@pytest.fixture
def stopped():
    """Return a child that is traced and has stopped."""
    libc = ctypes.CDLL(None)
    child = os.fork()
    if not child:
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    yield child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_part_of_the_state_can_be_set(library, stopped):
    """The host's own ptrace(2) takes all of it or nothing."""
    octets = ctypes.create_string_buffer(1 << 16)

    def ptrace(of, request, length):
        vector = Vector(ctypes.addressof(octets), length)
        where, data = ctypes.c_void_p(NT_X86_XSTATE), ctypes.byref(vector)
        return of.ptrace(request, ctypes.c_long(stopped), where, data), vector.length

    done, whole = ptrace(library, PTRACE_GETREGSET, len(octets))
    assert (done, whole > KNOWN) == (0, True)
    before = octets.raw[:whole]
    assert ptrace(library, PTRACE_GETREGSET, KNOWN) == (0, KNOWN)
    assert ptrace(ctypes.CDLL(None), PTRACE_SETREGSET, KNOWN)[0] == -1
    assert ptrace(library, PTRACE_SETREGSET, KNOWN)[0] == 0
    assert ptrace(library, PTRACE_GETREGSET, len(octets)) == (0, whole)
    assert octets.raw[:whole] == before
