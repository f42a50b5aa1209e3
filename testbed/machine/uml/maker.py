"""Runs the programs that build a kernel, logs their output and reports the progress."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from testbed.errors import MachineError, PlatformError
from testbed.machine import processes
from testbed.machine.uml import builds

# The number of compiled files of Debian's 7.3 with our configuration, to estimate the rest.
USUAL_FILES: Final = 1350
_TURN_S: Final = 0.5
# Messages at the start of compiling, by whether any file is compiled, and whether any is missing.
_START: Final = {
    (False, True): "compiling, some minutes",
    (True, True): "continuing to compile",
    (True, False): "compiling changed files",
}
_NOT_FOR_MAKE: Final = frozenset(
    ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "CROSS_COMPILE", "KCONFIG_CONFIG")
)
# Lines with the reason of a failure, from the compiler, the linker or make.
_REASON: Final = re.compile(r"\berror:|undefined reference|No rule to make")
_FULL: Final = os.strerror(errno.ENOSPC)
# The output of Linux's make for each file.
_MADE: Final = re.compile(rb"^  (?:CC|AS|AR|LD) ", re.MULTILINE)


class Watcher(Protocol):
    """Receives the progress of a build."""

    def step(self, text: str) -> None:
        """Handle the start of a step with a name."""

    def compiled(self, done: int, total: int | None) -> None:
        """Handle the number of compiled files, and the estimated total, ``None`` if unknown."""


@contextlib.contextmanager
def making(directory: Path, watcher: Watcher) -> Iterator[Maker]:
    """Wait until no other process builds in a folder, and lock it; yield a builder for it.

    :raises PlatformError: the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(builds.locked(directory, wait=False))
        except BlockingIOError:
            watcher.step("waiting for another process that builds it")
            lock = stack.enter_context(builds.locked(directory))
        try:
            yield Maker(directory, watcher, lock)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _full(directory) from error


class Maker:
    """Builds in one folder.

    :param directory: the folder of the build.
    :param lock: the descriptor of the folder's lock.
    """

    def __init__(self, directory: Path, watcher: Watcher, lock: int) -> None:
        self.directory = directory
        self.watcher = watcher
        self.log = directory / builds.LOG
        self.log.write_bytes(b"")
        self._lock = lock

    def run(self, argv: Sequence[str]) -> None:
        """Run a program to its end.

        :raises MachineError: it failed.
        :raises PlatformError: the disk is full.
        """
        with self._started(argv) as child:
            child.wait()
        self._check(argv, child.returncode)

    def compile(self, argv: Sequence[str], objects: Path) -> None:
        """Run make(1), and report its progress to the watcher.

        :param objects: the folder of its output.
        :raises MachineError: it failed.
        :raises PlatformError: the disk is full.
        """
        before = sum(1 for _ in objects.rglob("*.[oa]"))
        total = USUAL_FILES if before < USUAL_FILES else None
        self.watcher.step(f"{_START[bool(before), bool(total)]}; see {self.log}")
        said, began = self.log.stat().st_size, time.monotonic()
        with self._started(argv) as child:
            while child.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=_TURN_S)
                made = len(_MADE.findall(self.log.read_bytes()[said:]))
                self.watcher.compiled(made + (before if total else 0), total)
        self._check(argv, child.returncode)
        self.watcher.step(f"{made} files compiled in {_duration(time.monotonic() - began)}")

    @contextlib.contextmanager
    def _started(self, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a program that holds the lock. On exit end it and its descendants."""
        with (
            self.log.open("ab") as log,
            processes.group(
                argv, descriptors=(self._lock,), output=log, environment=self._environment()
            ) as child,
        ):
            yield child

    def _environment(self) -> dict[str, str]:
        """Return our environment variables, without those that affect make(1)."""
        environment = {name: it for name, it in os.environ.items() if name not in _NOT_FOR_MAKE}
        # So ccache reuses files that were compiled in another folder.
        return environment | {"CCACHE_BASEDIR": str(self.directory), "CCACHE_NOHASHDIR": "1"}

    def _check(self, argv: Sequence[str], status: int | None) -> None:
        if status != 0:
            lines = self.log.read_text(errors="replace").splitlines()
            if any(_FULL in line for line in lines):
                raise _full(self.directory)
            last = " | ".join(lines[-3:]) or argv[0]
            reason = next((line.strip() for line in lines if _REASON.search(line)), last)
            raise MachineError(
                f"the build of the kernel failed: {reason}",
                hint=f"the whole output is in {self.log}",
            )


def _full(directory: Path) -> PlatformError:
    return PlatformError(
        f"{directory} cannot be written",
        why=_FULL,
        instead="remove kernels that no build needs with `testbed machine prune`",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
