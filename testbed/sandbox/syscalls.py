"""The few system calls about namespaces and mounts that Python 3.11's ``os`` does not offer.

Each raises :class:`OSError` with the kernel's ``errno``.  ``os.unshare`` and ``os.setns`` exist
from Python 3.12 on; going through libc keeps one way for all versions.
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

_SYS_PIDFD_GETFD: Final = 438  # one number for all architectures
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
    """Give this thread namespaces of its own (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Enter the namespace behind ``fd`` (setns(2)); ``kind`` is what it must be, or 0."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system, or bind one (mount(2))."""
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
    """Be sent ``signal`` when the parent thread ends; 0: never (prctl(2), ``PR_SET_PDEATHSIG``).

    The kernel forgets it on fork and on a change of credentials, and a parent that is already
    dead sends nothing: set it late, then check that the parent still lives.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def pidfd_getfd(pidfd: int, target: int) -> int:
    """Return a duplicate of another process's descriptor (pidfd_getfd(2))."""
    result = int(_libc.syscall(_SYS_PIDFD_GETFD, pidfd, target, 0))
    _check(result, "pidfd_getfd")
    return result
