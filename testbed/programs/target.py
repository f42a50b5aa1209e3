"""The memory and the descriptors of a thread whose system call waits.

After the call the thread may be killed, and another thread may get its ID. So data that was read
counts only if the call is still valid after the read, and data is written only while the call is
valid (seccomp_unotify(2), "Design goals; use of SECCOMP_USER_NOTIF_FLAG_CONTINUE" and the notes
there).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.programs.seccomp import Listener, Notification
from testbed.sandbox.syscalls import pidfd_getfd

_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")
_NETWORK: Final = "/proc/{}/ns/net"

_Buffer = ctypes.Array[ctypes.c_char]
_ByFile = Callable[[int, list[_Buffer], int], int]

_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_arguments = (
    ctypes.c_int,
    ctypes.POINTER(_Vector),
    ctypes.c_ulong,
    ctypes.POINTER(_Vector),
    ctypes.c_ulong,
    ctypes.c_ulong,
)
_libc.process_vm_readv.argtypes = _libc.process_vm_writev.argtypes = _arguments
_libc.process_vm_readv.restype = _libc.process_vm_writev.restype = ctypes.c_ssize_t


class GoneError(OSError):
    """The call no longer waits for an answer."""


class Call:
    """One system call of a program, with access to its thread.

    :param name: the name of the system call.
    """

    def __init__(self, listener: Listener, notification: Notification, name: str) -> None:
        self._listener = listener
        self.name = name
        self.id = notification.id
        self.pid = notification.pid
        self.arguments = notification.arguments

    @property
    def fd(self) -> int:
        """The first argument as a descriptor."""
        return self.signed(0)

    @property
    def flags(self) -> int:
        """The flags of accept4(2); accept(2) has none."""
        return self.arguments[3] if self.name == "accept4" else 0

    def signed(self, index: int) -> int:
        """Return an argument as a C ``int``."""
        return ctypes.c_int(self.arguments[index] & 0xFFFF_FFFF).value

    def require_valid(self) -> None:
        """Check that the call still waits. Raises GoneError."""
        if not self._listener.is_valid(self.id):
            raise GoneError(errno.ESRCH, os.strerror(errno.ESRCH))

    def read(self, address: int, size: int) -> bytes:
        """Return octets of the thread's memory.

        :raises OSError: EFAULT: not all of them can be read.
        """
        if size == 0:
            return b""
        buffer = ctypes.create_string_buffer(size)
        done = self._move(_libc.process_vm_readv, os.preadv, buffer, address)
        self.require_valid()
        if done != size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return buffer.raw

    def write(self, address: int, data: bytes) -> None:
        """Write octets to the thread's memory.

        :raises OSError: EFAULT: not all of them can be written.
        """
        if not data:
            return
        self.require_valid()
        buffer = ctypes.create_string_buffer(data, len(data))
        if self._move(_libc.process_vm_writev, os.pwritev, buffer, address) != len(data):
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))

    def _move(
        self, how: ctypes._NamedFuncPointer, by_file: _ByFile, buffer: _Buffer, there: int
    ) -> int:
        """Copy octets between a buffer and the program's memory; return their number.

        :param by_file: the same operation with /proc/PID/mem, for a kernel without
            CONFIG_CROSS_MEMORY_ATTACH. It can write to pages that are read-only to the program.
        """
        here = _Vector(ctypes.addressof(buffer), len(buffer))
        remote = _Vector(there, len(buffer))
        done = int(how(self.pid, ctypes.byref(here), 1, ctypes.byref(remote), 1, 0))
        if done >= 0 or ctypes.get_errno() != errno.ENOSYS:
            return done
        try:
            with Path(f"/proc/{self.pid}/mem").open("r+b", buffering=0) as memory:
                return by_file(memory.fileno(), [buffer], there)
        except OSError:
            return -1

    def inode(self) -> int | None:
        """Return the inode of the socket of the call; ``None`` if its descriptor is no socket."""
        try:
            link = str(Path(f"/proc/{self.pid}/fd/{self.fd}").readlink())
        except OSError:  # no such descriptor: let the kernel report it
            return None
        found = _SOCKET.fullmatch(link)
        return None if found is None else int(found[1])

    def is_ours(self) -> bool:
        """Return whether the thread is in the network namespace of this process."""
        try:
            there = Path(_NETWORK.format(self.pid)).stat().st_ino
        except OSError:
            return True
        return there == Path(_NETWORK.format("self")).stat().st_ino

    def socket(self) -> socket.socket:
        """Return a copy of the socket of the call. The caller closes it."""
        return copy_of(self.pid, self.fd)

    def is_cloexec(self) -> bool:
        """Return whether execve(2) closes the descriptor of the call."""
        text = Path(f"/proc/{self.pid}/fdinfo/{self.fd}").read_text(encoding="ascii")
        found = re.search(r"^flags:\s*(\d+)$", text, re.MULTILINE)
        return found is not None and bool(int(found[1], 8) & os.O_CLOEXEC)


def copy_of(thread: int, fd: int) -> socket.socket:
    """Return a copy of a socket of another process (pidfd_getfd(2)). The caller closes it."""
    process = os.pidfd_open(_leader(thread))
    try:
        return socket.socket(fileno=pidfd_getfd(process, fd))
    finally:
        os.close(process)


def find_socket(inode: int, seen: tuple[int, int]) -> socket.socket | None:
    """Return a copy of a socket from any process that has it. The caller closes it.

    :param seen: a thread that had the socket, and the descriptor there.
    """
    wanted, likely = f"socket:[{inode}]", Path("/proc/{}/fd/{}".format(*seen))
    for path in itertools.chain((likely,), Path("/proc").glob("[0-9]*/fd/*")):
        with contextlib.suppress(OSError):
            if str(path.readlink()) == wanted:
                return copy_of(int(path.parts[2]), int(path.name))
    return None


def _leader(thread: int) -> int:
    """Return the process of a thread: a pidfd refers to the first thread of a process."""
    status = Path(f"/proc/{thread}/status").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^Tgid:\s*(\d+)$", status, re.MULTILINE)
    if found is None:
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    return int(found[1])
