"""The end of our programs after an error: one line on standard error, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Final

from testbed.errors import InputError, TestbedError
from testbed.text import clean

INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it
TERMINATED: Final = 143  # 128 + SIGTERM
UNREAD: Final = 141  # 128 + SIGPIPE: the reader of the output has ended
_STDOUT, _STDERR = 1, 2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_CLOSED: Final = errno.EBADF  # standard output, see testbed.cli.main
_NO_NAME: Final = (errno.ENAMETOOLONG, errno.ELOOP)  # the name is invalid for a file
_REFUSED: Final = (*_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)  # errors of files


def end_as_ctrl_c() -> None:
    """Make SIGTERM act as Ctrl-C: finished runs are kept and summarised."""

    def interrupt(*_: object) -> None:
        # A shell sets this for a background job of a script.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)


def end_on_sigterm() -> None:
    """Make SIGTERM end this process in order, so that it leaves nothing behind."""

    def end(*_: object) -> None:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, end)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Print an error as one line on standard error, and exit with its exit code.

    Exit without a word, as other programs die of SIGPIPE, if nothing reads the output any more.
    """
    try:
        with _reported():
            yield
    except BrokenPipeError as error:
        unread = _unread()
        if not unread:
            reason = f"another process closed a connection: {error.strerror}"
            print(f"testbed: {reason}", file=sys.stderr)
            sys.exit(1)
        for descriptor in unread:
            _discard(descriptor)
        sys.exit(UNREAD)


def _unread() -> list[int]:
    """Return which of standard output and standard error are pipes or sockets without a reader."""
    poll = select.poll()
    for descriptor in (_STDOUT, _STDERR):
        poll.register(descriptor, 0)  # POLLERR and POLLHUP are always reported
    ended = select.POLLERR | select.POLLHUP
    return [descriptor for descriptor, events in poll.poll(0) if events & ended]


def _discard(descriptor: int) -> None:
    """Send what is still written to a descriptor to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Print an error as one line on standard error, and exit with its exit code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # an error can still be reported here
    except TestbedError as error:
        for each in error.every if isinstance(error, InputError) else (error,):
            print(clean(f"testbed: {each}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is not None and error.errno in (*_REFUSED, *_NO_NAME):
            print(clean(f"testbed: {error.filename}: {error.strerror}"), file=sys.stderr)
            sys.exit(InputError.exit_code if error.errno in _NO_NAME else 1)
        if error.filename is not None or error.errno not in (*_FULL, _CLOSED):
            raise
        _discard(sys.stdout.fileno())
        print(f"testbed: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
