"""The heir: a process that resets the connections of a killed supervisor.

It shares the descriptors of the supervisor (CLONE_FILES), and waits. When the supervisor is killed,
all descriptors stay open in the heir. Among them are TUN interfaces and the sockets that keep the
kernel from answering for the stack's ports: a RST of the kernel would end only a subflow of an
MPTCP connection. The heir closes all others, asks each peer for its expected sequence number, and
resets the connection (:mod:`testbed.programs.resetting`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import random
import resource
import select
import signal
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from testbed.driver.loop import Driver
from testbed.host.clock import LoopClock
from testbed.host.devices.base import HostDevice
from testbed.host.devices.packets import PacketDevice
from testbed.host.devices.tun import TunDevice
from testbed.programs.flows import Flows, Peer
from testbed.programs.resetting import Resetter
from testbed.stack.connection import Endpoint

_SYS_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE_FILES: Final = 0x400  # linux/sched.h
_WALL: Final = 0x4000_0000  # wait.h: also for children that send no SIGCHLD
_TUN: Final = "/dev/net/tun"
_TUNGETIFF: Final = 0x800454D2  # linux/if_tun.h
_REQUEST: Final = 40  # octets of struct ifreq
_ROOM: Final = 1 << 15  # descriptors: two for each flow of the table
_MOST_S: Final = 10.0  # the limit of the whole time

# The interpreter's lock stays with the thread that calls, so that a child has it, too.
_libc = ctypes.PyDLL(None, use_errno=True)


class Heir:
    """The supervisor's interface to its heir.

    It forks, so create it before any event loop or thread.

    :ivar flows: the flows to reset if this process is killed.
    :ivar pid: the process id of the heir.
    """

    def __init__(self) -> None:
        self.flows = Flows()
        _make_room()
        supervisor = os.pidfd_open(os.getpid())
        self.pid = _fork()
        if self.pid == 0:
            _protected(supervisor, self.flows)
        self._supervisor = supervisor

    def dismiss(self) -> None:
        """End the heir, after all connections have ended in order."""
        self.flows.clear()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, _WALL)
        os.close(self._supervisor)


def _make_room() -> None:
    """Enlarge the descriptor table.

    If processes share the table, each growth takes tens of milliseconds (synchronize_rcu in
    expand_fdtable, fs/file.c). A descriptor that is in use already is not replaced.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = min(most, _ROOM) - 1
    with Path(os.devnull).open("rb") as some, contextlib.suppress(OSError):
        os.close(fcntl.fcntl(some, fcntl.F_DUPFD_CLOEXEC, last))


def _fork() -> int:
    """Fork a process that shares the descriptor table.

    The child sends no SIGCHLD, so waiting for any child does not find it.
    """
    number = _SYS_CLONE[os.uname().machine]
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(
        _libc.syscall(
            ctypes.c_long(number),
            ctypes.c_ulong(_CLONE_FILES),
            *(ctypes.c_ulong(0),) * 4,
        )
    )
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return pid


def _protected(supervisor: int, flows: Flows) -> None:
    """Run the heir. It never returns to the code of the supervisor."""
    try:
        os.setsid()  # signals to the supervisor's group or terminal must not reach this process
        _wait(supervisor)
        kept, tuns = take_over()  # first: a reader of the program's output sees its end now
        peers = flows.read()
        if peers:
            asyncio.run(_reset(peers, kept, tuns))
    finally:
        os._exit(0)


def _wait(process: int) -> None:
    ended = select.poll()
    ended.register(process, select.POLLIN)
    ended.poll()


def take_over() -> tuple[Sequence[int], Sequence[str]]:
    """Close all descriptors except those that reserve ports from the kernel.

    :return: the reserved ports, and the names of the TUN interfaces that were open.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ports, tuns = [], []
    for path in sorted(Path("/proc/self/fd").iterdir(), key=lambda path: int(path.name)):
        fd = int(path.name)
        with contextlib.suppress(OSError):  # the folder's own is closed already
            port = _kept_port(fd)
            if port is not None:
                ports.append(port)
                continue
            if str(path.readlink()) == _TUN:
                tuns.append(_interface(fd))
            os.close(fd)
    return ports, tuns


def _kept_port(fd: int) -> int | None:
    """Return the port on which a descriptor listens, or ``None``."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    sock = socket.socket(fileno=fd)
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        port: int = sock.getsockname()[1]
        return port
    finally:
        sock.detach()


def _interface(tun: int) -> str:
    found = fcntl.ioctl(tun, _TUNGETIFF, bytes(_REQUEST))
    return os.fsdecode(found.split(b"\0")[0])


async def _reset(peers: Sequence[Peer], ports: Sequence[int], tuns: Sequence[str]) -> None:
    clock = LoopClock()
    device: HostDevice
    if tuns:
        device = TunDevice(tuns, random.SystemRandom())
    else:
        device = PacketDevice(random.SystemRandom(), kept=True)
    for port in ports:
        device.ports.hold(port)
    over = asyncio.Event()
    driver = Driver(clock, device, lambda *_: None)
    driver.when_idle(over.set)
    driver.begin(cast("Endpoint", Resetter(peers, clock.now())))  # this endpoint opens nothing
    driver.wake()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_MOST_S):
            await over.wait()
