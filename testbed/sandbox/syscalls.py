"""The system calls on namespaces and mounts that ``os`` of Python 3.11 lacks.

Each function raises :class:`OSError` with the kernel's ``errno``. ``os.unshare`` and ``os.setns``
exist since Python 3.12, but calls through libc work with all versions.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

# linux/sched.h
CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

# linux/mount.h
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18

_SYS_PIDFD_GETFD: Final = 438  # the same number on all architectures
_SYS_MOUNT_SETATTR: Final = 442
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_MOUNT_ATTR_RDONLY: Final = 0x1
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    """Move this thread to new namespaces (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Enter the namespace of ``fd`` (setns(2)). ``kind`` is its required type, or 0 for any."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system, or make a bind mount (mount(2))."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {kind or source} on {target}")


def make_read_only(path: str) -> None:
    """Make every mount at and below ``path`` read-only (mount_setattr(2), Linux 5.12)."""
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        path.encode(),
        _AT_RECURSIVE,
        attributes,
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"making {path} read-only")


def set_parent_death_signal(signal: int) -> None:
    """Request ``signal`` for the end of the parent thread; 0 for none (``PR_SET_PDEATHSIG``).

    See prctl(2). A fork and a change of credentials reset the signal, and a parent that has ended
    already sends none. So set it late, then check that the parent still runs.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def pidfd_getfd(pidfd: int, target: int) -> int:
    """Return a duplicate of another process's descriptor (pidfd_getfd(2))."""
    result = int(_libc.syscall(_SYS_PIDFD_GETFD, pidfd, target, 0))
    _check(result, "pidfd_getfd")
    return result
