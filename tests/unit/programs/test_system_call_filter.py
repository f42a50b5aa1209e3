"""The filter of system calls, run by an interpreter of classic BPF that shares nothing with it."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from testbed.errors import PlatformError
from testbed.programs import calls
from testbed.programs.bpf import Assembler

MACHINES = sorted(calls.MACHINES)


def run(program, number, architecture, arguments=()):
    """Return what a filter gives for a system call (seccomp_unotify(2), linux/filter.h)."""
    padded = (*arguments, *([0] * (6 - len(arguments))))
    data = struct.pack("=iIQ6Q", number, architecture, 0, *padded)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = loaded = 0
    while True:
        instruction, true, false, value = code[at]
        at += 1
        match instruction:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, value)
            case 0x54:
                loaded &= value
            case 0x15:
                at += true if loaded == value else false
            case 0x35:
                at += true if loaded >= value else false
            case 0x45:
                at += true if loaded & value else false
            case 0x06:
                return value


@pytest.fixture(params=MACHINES)
def machine(request):
    return calls.machine(request.param)


def result(machine, name, *arguments):
    number = machine.numbers[name] if isinstance(name, str) else name
    return run(calls.program(machine), number, machine.audit, arguments)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("flags", [0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC])
def test_stream_sockets_of_both_families_are_asked_about(machine, family, flags):
    assert result(machine, "socket", family, socket.SOCK_STREAM | flags, 0) == calls.NOTIFY


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_RAW),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_other_sockets_are_the_kernel_s(machine, family, kind):
    assert result(machine, "socket", family, kind, 0) == calls.ALLOW


@pytest.mark.parametrize("name", calls.ASKED)
def test_calls_about_addresses_and_options_are_asked_about(machine, name):
    assert result(machine, name, 3) == calls.NOTIFY


@pytest.mark.parametrize(("name", "argument"), calls.FLAGS.items())
@pytest.mark.parametrize("flags", [socket.MSG_OOB, calls.MSG_FASTOPEN, 0, socket.MSG_PEEK])
def test_data_passes_but_for_urgent_data_and_fast_open(machine, name, argument, flags):
    arguments = [3] * argument + [flags]
    special = flags in (socket.MSG_OOB, calls.MSG_FASTOPEN)
    assert result(machine, name, *arguments) == (calls.NOTIFY if special else calls.ALLOW)


def test_io_uring_is_not_there(machine):
    for number in (425, 426, 427):
        assert result(machine, number) == calls.ERRNO | errno.ENOSYS


def test_numbers_of_no_interest_pass(machine):
    known = set(machine.numbers.values())
    assert {result(machine, number) for number in range(600) if number not in known} == {
        calls.ALLOW
    }


def test_programs_of_another_architecture_are_ended(machine):
    program = calls.program(machine)
    assert run(program, 41, 0x4000_0003) == calls.KILL_PROCESS  # AUDIT_ARCH_I386


def test_the_second_set_of_numbers_of_x86_64_is_denied():
    machine = calls.machine("x86_64")
    assert result(machine, 0x4000_0000 + 41) == calls.ERRNO | errno.ENOSYS


def test_an_architecture_without_numbers():
    with pytest.raises(PlatformError, match=r"riscv64.*testbed nc"):
        calls.machine("riscv64")


def test_labels_lie_ahead_and_near():
    code = Assembler()
    code.label("back")
    code.if_equal(1, "back")
    with pytest.raises(ValueError, match="-1 instructions away"):
        code.assemble()
    code = Assembler()
    code.if_equal(1, "far")
    for _ in range(256):
        code.give(0)
    code.label("far")
    with pytest.raises(ValueError, match="256 instructions away"):
        code.assemble()
