"""seccomp(2) with user notification: installs a filter, and answers its notifications.

The structures and numbers are those of ``linux/seccomp.h``. seccomp_unotify(2) describes their use.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import struct
from typing import Final, NamedTuple

_SYS_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_PR_SET_NO_NEW_PRIVS: Final = 38
_INSTRUCTION: Final = 8  # octets of struct sock_filter

_RECV: Final = 0xC050_2100  # SECCOMP_IOCTL_NOTIF_*
_SEND: Final = 0xC018_2101
_ID_VALID: Final = 0x4008_2102
_ADDFD: Final = 0x4018_2103
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif with its seccomp_data
_RESPONSE: Final = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_DESCRIPTOR: Final = struct.Struct("=QIIII")  # struct seccomp_notif_addfd
_CONTINUE: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_SETFD, _AND_SEND = 1, 2  # SECCOMP_ADDFD_FLAG_*

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(program: bytes) -> int:
    """Filter the system calls of this thread and its future children; return the listener.

    After that the thread cannot gain privileges, for example by a setuid program.

    :raises OSError: EBUSY: a filter with a listener exists already; ENOSYS, EINVAL, EPERM: the
        filter is not allowed, or the kernel does not support it.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(it) for it in (1, 0, 0, 0))):
        raise _error()
    what = _Program(len(program) // _INSTRUCTION, program)
    fd = _libc.syscall(
        ctypes.c_long(_SYS_SECCOMP[os.uname().machine]),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_NEW_LISTENER),
        ctypes.byref(what),
    )
    if fd < 0:
        raise _error()
    return int(fd)


class Notification(NamedTuple):
    """A system call that waits for its answer.

    :param pid: the ID of the thread in this process's PID namespace.
    """

    id: int
    pid: int
    number: int
    arguments: tuple[int, ...]


class Listener:
    """Receives notifications of system calls, and answers them.

    The kernel rejects an answer if the call no longer waits: its thread was killed, or a signal
    interrupted it. Each method that answers returns whether the kernel accepted the answer.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._can_send = True  # the answer together with a descriptor, since Linux 5.14

    def fileno(self) -> int:
        """Return the descriptor, which has input when a call waits."""
        return self._fd

    def close(self) -> None:
        """Close the listener. Waiting and later calls fail with ENOSYS."""
        os.close(self._fd)

    @property
    def pending(self) -> bool:
        """Whether a call waits."""
        return any(events & select.POLLIN for _, events in self._poll.poll(0))

    @property
    def abandoned(self) -> bool:
        """Whether no process has the filter any more."""
        return any(events & select.POLLHUP for _, events in self._poll.poll(0))

    def receive(self) -> Notification | None:
        """Return the next call; ``None`` if it no longer waits."""
        buffer = bytearray(_NOTIFICATION.size)  # the kernel requires zeros
        try:
            fcntl.ioctl(self._fd, _RECV, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Notification(number, pid, call, tuple(arguments))

    def is_valid(self, id_: int) -> bool:
        """Return whether a call still waits: then its process is still the same."""
        try:
            fcntl.ioctl(self._fd, _ID_VALID, struct.pack("=Q", id_))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def answer(self, id_: int, value: int = 0) -> bool:
        """Answer a call with a return value."""
        return self._send(id_, value, 0, 0)

    def fail(self, id_: int, number: int) -> bool:
        """Answer a call with an error number."""
        return self._send(id_, 0, -number, 0)

    def proceed(self, id_: int) -> bool:
        """Let the kernel execute the call."""
        return self._send(id_, 0, 0, _CONTINUE)

    def give(self, id_: int, fd: int, *, cloexec: bool) -> bool:
        """Add a copy of a descriptor to the process. The call returns its number there.

        :raises OSError: EMFILE: the process has reached its descriptor limit.
        """
        flags = os.O_CLOEXEC if cloexec else 0
        if self._can_send:
            try:
                return self._add(id_, fd, _AND_SEND, 0, flags) is not None
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._can_send = False
        there = self._add(id_, fd, 0, 0, flags)
        return there is not None and self.answer(id_, there)

    def replace(self, id_: int, fd: int, at: int, *, cloexec: bool) -> bool:
        """Replace a descriptor of the process by a copy of ours. The call still waits."""
        return self._add(id_, fd, _SETFD, at, os.O_CLOEXEC if cloexec else 0) is not None

    def _add(self, id_: int, fd: int, flags: int, at: int, fd_flags: int) -> int | None:
        request = _DESCRIPTOR.pack(id_, flags, fd, at, fd_flags)
        try:
            return _ioctl(self._fd, request)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINPROGRESS, errno.ESRCH):
                return None
            raise

    def _send(self, id_: int, value: int, error: int, flags: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            fcntl.ioctl(self._fd, _SEND, _RESPONSE.pack(id_, value, error, flags))
            return True
        return False


def _ioctl(fd: int, request: bytes) -> int:
    """Call ioctl(2), and return its result. With a buffer, :mod:`fcntl` does not return it."""
    result = int(_libc.ioctl(fd, ctypes.c_ulong(_ADDFD), request))
    if result < 0:
        raise _error()
    return result


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
