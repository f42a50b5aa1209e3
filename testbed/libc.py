"""The system calls that Python's standard library lacks, with their structures.

``recvmmsg`` and ``sendmmsg`` move up to :data:`BATCH` frames per call between a socket and buffers.
A :class:`Vector` holds the addresses of the buffers. ``epoll_pwait2`` has a time-out in
nanoseconds, ``epoll_wait`` only in milliseconds. A :class:`Timer` gives an event loop that uses
``epoll_wait`` the same resolution. :func:`keep_freed_memory` lets malloc keep memory for later.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from array import array
from collections.abc import Sequence
from typing import Final

BATCH: Final = 64  # frames per system call

_MSG_DONTWAIT: Final = 0x40
_PR_SET_TIMERSLACK: Final = 29
_SO_ATTACH_FILTER: Final = 26  # asm-generic
_CLOCK_MONOTONIC: Final = 1
_TFD_FLAGS: Final = 0o2004000  # TFD_CLOEXEC | TFD_NONBLOCK
_TFD_TIMER_ABSTIME: Final = 1
_SYS_EPOLL_PWAIT2: Final = 441  # the same on every architecture but alpha; glibc has it from 2.35
_WORD: Final = 8
_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 64 * 2**20  # octets of freed memory: more than a few batches of large segments
_OF_ITS_OWN: Final = 2**20  # octets from which an object gets pages of its own


class _MsgHdr(ctypes.Structure):
    """``struct msghdr``, recvmsg(2)."""

    _fields_ = (
        ("msg_name", ctypes.c_void_p),
        ("msg_namelen", ctypes.c_uint32),
        ("msg_iov", ctypes.c_void_p),
        ("msg_iovlen", ctypes.c_size_t),
        ("msg_control", ctypes.c_void_p),
        ("msg_controllen", ctypes.c_size_t),
        ("msg_flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    """``struct mmsghdr``, recvmmsg(2)."""

    _fields_ = (("msg_hdr", _MsgHdr), ("msg_len", ctypes.c_uint32))


class _Stamp(ctypes.Structure):
    """The control message of ``SO_TIMESTAMPNS``: ``struct cmsghdr`` and ``struct timespec``."""

    _fields_ = (
        ("cmsg_len", ctypes.c_size_t),
        ("cmsg_level", ctypes.c_int),
        ("cmsg_type", ctypes.c_int),
        ("tv_sec", ctypes.c_int64),
        ("tv_nsec", ctypes.c_int64),
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)
_mmsg_arguments = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.recvmmsg.argtypes = (*_mmsg_arguments, ctypes.c_void_p)
_libc.sendmmsg.argtypes = _mmsg_arguments
_libc.syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
)
_libc.syscall.restype = ctypes.c_long
_libc.timerfd_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Vector:
    """An array of ``struct mmsghdr``, each with one buffer and space for a time stamp.

    The hot path writes pointers and reads lengths for a whole batch through strided views.
    """

    def __init__(self) -> None:
        self._headers = (_MMsgHdr * BATCH)()
        self._stamps = (_Stamp * BATCH)()
        for header in self._headers:
            header.msg_hdr.msg_iovlen = 1
        stride = ctypes.sizeof(_MMsgHdr)
        octets = memoryview(self._headers).cast("B")
        self._iovecs = octets.cast("Q")[_MsgHdr.msg_iov.offset // _WORD :: stride // _WORD]
        self._lengths = octets.cast("I")[_MMsgHdr.msg_len.offset // 4 :: stride // 4]
        words = octets.cast("Q")
        self._controls = words[_MsgHdr.msg_control.offset // _WORD :: stride // _WORD]
        self._rooms = words[_MsgHdr.msg_controllen.offset // _WORD :: stride // _WORD]
        stamps = memoryview(self._stamps).cast("B").cast("q")
        size = ctypes.sizeof(_Stamp)
        self._seconds = stamps[_Stamp.tv_sec.offset // _WORD :: size // _WORD]
        self._nanoseconds = stamps[_Stamp.tv_nsec.offset // _WORD :: size // _WORD]
        self._room = array("Q", [size] * BATCH)
        self._stamped = False
        self._address = ctypes.addressof(self._headers)

    def point_to(self, iovecs: Sequence[int]) -> None:
        """Set the addresses of the ``struct iovec`` of the first headers."""
        self._iovecs[: len(iovecs)] = array("Q", iovecs)

    def make_room_for_stamps(self) -> None:
        """Reserve space for :meth:`stamps`. The socket must have ``SO_TIMESTAMPNS``."""
        start = ctypes.addressof(self._stamps)
        for index in range(BATCH):
            self._controls[index] = start + index * ctypes.sizeof(_Stamp)
        self._rooms[:] = self._room
        self._stamped = True

    def receive(self, fd: int) -> list[int]:
        """Receive up to a batch without waiting and return the frames' lengths.

        :raises OSError: what recvmmsg(2) reports; ``BlockingIOError`` if no frame is queued.
        """
        count: int = _libc.recvmmsg(fd, self._address, BATCH, _MSG_DONTWAIT, None)
        if count < 0:
            raise _error()
        if self._stamped:
            self._rooms[:count] = self._room[:count]  # the kernel has written what it used
        return self._lengths[:count].tolist()

    def stamps(self, count: int) -> tuple[list[int], list[int]]:
        """Return the arrival times of the last batch: seconds and nanoseconds of real time."""
        return self._seconds[:count].tolist(), self._nanoseconds[:count].tolist()

    def send(self, fd: int, count: int) -> int:
        """Send the first ``count`` frames and return how many the kernel took.

        :raises OSError: the first frame could not be sent.
        """
        sent: int = _libc.sendmmsg(fd, self._address, count, _MSG_DONTWAIT)
        if sent < 0:
            raise _error()
        return sent


class Poller:
    """``epoll`` (level-triggered) with time-outs in nanoseconds."""

    _EVENTS: Final = 64
    _EPOLLIN: Final = 1

    def __init__(self) -> None:
        self.watched = 0  # descriptors
        self._epoll = select.epoll()
        # struct epoll_event is packed on x86-64 only: 12 octets there, 16 elsewhere.
        packed = os.uname().machine == "x86_64"
        self._stride, self._data = (3, 1) if packed else (4, 2)
        self._events = (ctypes.c_uint32 * (self._stride * self._EVENTS))()
        self._view = memoryview(self._events).cast("B").cast("I")
        self._address = ctypes.addressof(self._events)
        timeout = _Timespec()
        self._timeout_address = ctypes.addressof(timeout)
        self._timeout = memoryview(timeout).cast("B").cast("l")

    def fileno(self) -> int:
        """Return the epoll descriptor. It has input when a watched descriptor has input."""
        return self._epoll.fileno()

    def register(self, fd: int) -> None:
        """Watch a descriptor for input."""
        self._epoll.register(fd, self._EPOLLIN)
        self.watched += 1

    def unregister(self, fd: int) -> None:
        """Stop watching a descriptor."""
        self._epoll.unregister(fd)
        self.watched -= 1

    def wait(self, timeout_ns: int | None) -> list[int]:
        """Return the descriptors that have input, after at most ``timeout_ns``.

        It may return early without a descriptor, for example when the process was stopped and
        continued.

        :raises OSError: what epoll_pwait2(2) reports.
        """
        timeout = None
        if timeout_ns is not None:
            self._timeout[0], self._timeout[1] = divmod(max(0, timeout_ns), 10**9)
            timeout = self._timeout_address
        count = _libc.syscall(
            _SYS_EPOLL_PWAIT2, self._epoll.fileno(), self._address, self._EVENTS, timeout, None, 0
        )
        if count < 0:
            if ctypes.get_errno() == errno.EINTR:
                return []
            raise _error()
        return self._view[self._data : self._stride * count : self._stride].tolist()


class Timer:
    """A descriptor that has input after its expiration (timerfd_create(2), CLOCK_MONOTONIC)."""

    def __init__(self) -> None:
        self._fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS)
        if self._fd < 0:
            raise _error()
        self._spec = _Itimerspec()
        self._address = ctypes.addressof(self._spec)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def set(self, due_ns: int | None) -> None:
        """Set the expiration time; ``None`` disarms the timer. Pending input is cleared."""
        # A time of 0 would disarm the timer.
        seconds, rest = (0, 0) if due_ns is None else divmod(max(1, due_ns), 10**9)
        self._spec.it_value.tv_sec, self._spec.it_value.tv_nsec = seconds, rest
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._address, None) < 0:
            raise _error()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


def attach_filter(sock: socket.socket, program: bytes, length: int) -> None:
    """Attach a packet filter to a socket (socket(7), bpf of the BSDs).

    :param program: an array of ``struct sock_filter``.
    """
    buffer = ctypes.create_string_buffer(program, len(program))  # must exist until the end
    head = struct.pack("@HP", length, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MiB of freed memory (mallopt(3)), where libc can.

    Otherwise the payload of each batch of large segments gets new pages, which the kernel clears.
    """
    if hasattr(_libc, "mallopt"):  # musl has no such function
        _libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        _libc.mallopt(_M_MMAP_THRESHOLD, _OF_ITS_OWN)


def set_timer_slack(slack_ns: int) -> None:
    """Set the timer slack of this thread (prctl(2))."""
    _libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns), 0, 0, 0)


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
