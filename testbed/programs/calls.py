"""The filter of seccomp(2): it selects the system calls that the supervisor answers. Pure.

The supervisor handles only stream sockets of IPv4 and IPv6. A filter sees the number of a
descriptor, but not its type. So the supervisor is notified of every ``bind``, ``connect`` and so
on, and lets the calls on other sockets proceed. It is not notified of calls that read, write or
wait, except those with urgent data or TCP Fast Open.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.programs.bpf import Assembler

# linux/seccomp.h
KILL_PROCESS: Final = 0x8000_0000
ERRNO: Final = 0x0005_0000
NOTIFY: Final = 0x7FC0_0000
ALLOW: Final = 0x7FFF_0000

# Offsets of struct seccomp_data: nr, arch, and the lower half of each argument.
_NUMBER, _ARCHITECTURE = 0, 4
_ARGUMENTS: Final = tuple(range(16, 64, 8))
_X32: Final = 0x4000_0000  # __X32_SYSCALL_BIT
_TYPE_MASK: Final = 0xF  # SOCK_TYPE_MASK: without SOCK_CLOEXEC and SOCK_NONBLOCK
MSG_FASTOPEN: Final = 0x2000_0000
SPECIAL: Final = int(socket.MSG_OOB) | MSG_FASTOPEN

# The index of the flags among the arguments, for each call with flags.
FLAGS: Final = {
    "sendto": 3,
    "sendmsg": 2,
    "sendmmsg": 3,
    "recvfrom": 3,
    "recvmsg": 2,
    "recvmmsg": 3,
}
# The first argument of each is a descriptor.
ASKED: Final = (
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "setsockopt",
    "getsockopt",
    "shutdown",
)
_DENIED: Final = ("io_uring_setup", "io_uring_enter", "io_uring_register")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """An architecture: AUDIT_ARCH_* of linux/audit.h, and its system calls.

    :param x32: whether it has a second set of system call numbers, marked by a bit.
    """

    audit: int
    numbers: dict[str, int]
    x32: bool = False

    def name(self, number: int) -> str:
        """Return the name of a system call that the filter knows."""
        return next(name for name, known in self.numbers.items() if known == number)


_IO_URING: Final = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
MACHINES: Final = {
    "x86_64": Machine(  # arch/x86/entry/syscalls/syscall_64.tbl
        audit=0xC000_003E,
        x32=True,
        numbers={
            "socket": 41,
            "connect": 42,
            "accept": 43,
            "sendto": 44,
            "recvfrom": 45,
            "sendmsg": 46,
            "recvmsg": 47,
            "shutdown": 48,
            "bind": 49,
            "listen": 50,
            "getsockname": 51,
            "getpeername": 52,
            "setsockopt": 54,
            "getsockopt": 55,
            "accept4": 288,
            "recvmmsg": 299,
            "sendmmsg": 307,
            **_IO_URING,
        },
    ),
    "aarch64": Machine(  # include/uapi/asm-generic/unistd.h
        audit=0xC000_00B7,
        numbers={
            "socket": 198,
            "bind": 200,
            "listen": 201,
            "accept": 202,
            "connect": 203,
            "getsockname": 204,
            "getpeername": 205,
            "sendto": 206,
            "recvfrom": 207,
            "setsockopt": 208,
            "getsockopt": 209,
            "shutdown": 210,
            "sendmsg": 211,
            "recvmsg": 212,
            "accept4": 242,
            "recvmmsg": 243,
            "sendmmsg": 269,
            **_IO_URING,
        },
    ),
}


def machine(name: str) -> Machine:
    """Return an architecture by its name as in uname(2).

    :raises PlatformError: the system calls of the architecture are unknown.
    """
    if name not in MACHINES:
        raise PlatformError(
            f"programs cannot run over the userspace stack on {name}",
            why="testbed does not know the system call numbers of this machine",
            instead=f"use one of: {', '.join(MACHINES)}; or testbed nc, which works everywhere",
        )
    return MACHINES[name]


def program(machine: Machine) -> bytes:
    """Return the filter: an array of ``struct sock_filter``.

    The filter kills a program of another architecture, for example a 32-bit program: its system
    calls have other numbers, so it could use the kernel's TCP unnoticed. For the same reason the
    filter refuses io_uring.
    """
    numbers = machine.numbers
    code = Assembler()
    code.load(_ARCHITECTURE)
    code.if_equal(machine.audit, "known")
    code.give(KILL_PROCESS)
    code.label("known")
    code.load(_NUMBER)
    if machine.x32:
        code.if_at_least(_X32, "denied")
    code.if_at_least(min(numbers.values()), "compared")
    code.give(ALLOW)  # early: read(2) and similar calls have low numbers
    code.label("compared")
    for name in ASKED:
        code.if_equal(numbers[name], "asked")
    code.if_equal(numbers["socket"], "socket")
    for name, argument in FLAGS.items():
        code.if_equal(numbers[name], f"flags {argument}")
    for name in _DENIED:
        code.if_equal(numbers[name], "denied")
    code.give(ALLOW)
    code.label("socket")
    code.load(_ARGUMENTS[0])
    code.if_equal(socket.AF_INET, "kind")
    code.if_equal(socket.AF_INET6, "kind")
    code.give(ALLOW)
    code.label("kind")
    code.load(_ARGUMENTS[1])
    code.mask(_TYPE_MASK)
    code.if_equal(socket.SOCK_STREAM, "asked")
    code.give(ALLOW)
    for argument in sorted(set(FLAGS.values())):
        code.label(f"flags {argument}")
        code.load(_ARGUMENTS[argument])
        code.if_any_bit(SPECIAL, "asked")
        code.give(ALLOW)
    code.label("denied")
    code.give(ERRNO | errno.ENOSYS)
    code.label("asked")
    code.give(NOTIFY)
    return code.assemble()
