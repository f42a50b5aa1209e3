"""Tests in namespaces of their own, where nothing comes and goes but what they make."""

from __future__ import annotations

import functools
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

from testbed.sandbox import syscalls


def isolated(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a forked child with a network and mounts of its own, and an empty /run."""

    @functools.wraps(test)
    def wrapper(**fixtures: object) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            report = ""
            try:
                _isolate()
                test(**fixtures)
            except BaseException:
                report = traceback.format_exc()
            os.write(writer, report.encode()[-60_000:])
            os._exit(0)
        os.close(writer)
        try:
            with os.fdopen(reader) as pipe:
                report = pipe.read()
        except BaseException:  # the test's time is over
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(child, 0)
        assert status == 0
        assert not report, report

    return wrapper


def _isolate() -> None:
    uid, gid = os.getuid(), os.getgid()
    if uid:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    for folder in ("/run", "/dev/shm"):
        syscalls.mount("tmpfs", folder, "tmpfs")
