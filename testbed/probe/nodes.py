"""The nodes of the sampler: network namespaces, and the processes in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.sandbox.syscalls import CLONE_NEWNET, setns

_PROC: Final = Path("/proc")


class Process(msgspec.Struct, frozen=True):
    """A process of a node.

    :param pidfd: a descriptor of this process, valid also if its PID is reused.
    """

    pid: int
    node: str
    name: str  # at most 15 characters: proc_pid_comm(5)
    pidfd: int


class Nodes:
    """The nodes of a job.

    :param names: the names of the namespaces.
    :param directory: the folder in which they are bound, as ip-netns(8) does.
    """

    def __init__(self, names: Iterable[str], directory: Path) -> None:
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._namespaces = {
            name: os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC) for name in names
        }
        self._nodes_by_inode = {os.fstat(fd).st_ino: name for name, fd in self._namespaces.items()}
        self.processes: tuple[Process, ...] = ()  # the processes at the last refresh

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(self._namespaces)

    @contextlib.contextmanager
    def inside(self, node: str) -> Iterator[None]:
        """Enter a node's network namespace for sockets, programs and /proc/thread-self/net."""
        setns(self._namespaces[node], CLONE_NEWNET)
        try:
            yield
        finally:
            setns(self._home, CLONE_NEWNET)

    def refresh(self) -> None:
        """Search for the processes in the nodes. This process is never included.

        Nothing is cached between two searches: processes enter their node after their start, change
        their name when they execute a program, and PIDs are reused.
        """
        self._forget()
        with os.scandir(_PROC) as entries:
            pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
        found = (self._look_at(pid) for pid in pids)
        self.processes = tuple(process for process in found if process is not None)

    def close(self) -> None:
        """Close the descriptors of namespaces and processes."""
        self._forget()
        for fd in (self._home, *self._namespaces.values()):
            os.close(fd)

    def _look_at(self, pid: int) -> Process | None:
        folder = _PROC / str(pid)
        try:
            node = self._nodes_by_inode.get((folder / "ns/net").stat().st_ino)
            if node is None or pid == os.getpid():
                return None
            name = (folder / "comm").read_text().rstrip("\n")
            return Process(pid, node, name, os.pidfd_open(pid))
        except OSError:  # the process has ended, or access is denied
            return None

    def _forget(self) -> None:
        for process in self.processes:
            os.close(process.pidfd)
        self.processes = ()
