"""A program over the userspace stack, from its start to the end of its last connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from testbed.host.driver import Host
from testbed.programs import calls
from testbed.programs.flows import Noting
from testbed.programs.heir import Heir
from testbed.programs.keeper import IGNORED, PASSED_ON, Keeper
from testbed.programs.supervisor import Observer, Supervisor
from testbed.stack.connection import Connection

# How long a connection without a program may stand still.  Linux gives one up after 8 timeouts
# (tcp_orphan_retries), the first after 200 ms: about 100 s.
_STALLED_S: Final = 100.0
_PEER_S: Final = 10.0  # time for the peer to close its side after it has acknowledged all data
_LOOK_S: Final = 0.05
_NOTE_S: Final = 0.1


class Watcher(Observer, Protocol):
    """An observer of a run."""

    def begun(self, host: Host) -> None:
        """Handle the start of the program."""

    def ended(self) -> None:
        """Handle the end of the program."""


def run(
    argv: Sequence[str], make: Callable[[], Host], watcher: Watcher, environment: Mapping[str, str]
) -> int:
    """Run a program; return its exit status, or minus the number of the signal that ended it.

    It returns when the program, its descendants, and all their connections have ended. Signals that
    ask the program to end are passed on to it. This process must have no other children and no
    threads.

    :param make: a function that returns the driver; called while an event loop runs.
    :raises PlatformError: this process may not open packet sockets, or may not filter system calls.
    """
    code = calls.program(calls.machine(os.uname().machine))
    keeper = Keeper(argv, environment, code)
    _allow_descriptors()
    heir = Heir()
    try:
        with _ignoring():
            status, whole = asyncio.run(_run(keeper, heir, make, watcher))
        if whole:
            heir.dismiss()  # otherwise it resets the remaining connections
        return status
    finally:
        keeper.kill(heir.pid)
        keeper.close()


async def _run(
    keeper: Keeper, heir: Heir, make: Callable[[], Host], watcher: Watcher
) -> tuple[int, bool]:
    """Return how the program ended, and whether all its connections ended in order."""
    host = make()
    noting = Noting(host.endpoint, heir.flows)
    host.before_sending(noting.sending)
    looking = asyncio.ensure_future(_look(noting))
    try:
        supervisor = Supervisor(keeper.listener, host, watcher)
        try:
            session = _Session(keeper, heir, watcher)
            watcher.begun(host)
            keeper.go()
            status = await session.over
            with contextlib.suppress(asyncio.CancelledError):
                await session.lasting(supervisor.finished())
        finally:
            supervisor.close()
        with contextlib.suppress(asyncio.CancelledError):
            await session.lasting(_drained(host))
        return status, session.whole
    finally:
        looking.cancel()
        host.close()


async def _look(noting: Noting) -> None:
    """Record the flows for the heir at intervals."""
    while True:
        noting.look()
        await asyncio.sleep(_NOTE_S)


class Orphans:
    """Decides how long to wait for connections that no program has any more."""

    def __init__(self) -> None:
        self._progress: dict[Connection, tuple[int, bool, float]] = {}

    def waits_for(self, connection: Connection, now: float) -> bool:
        """Return whether to wait for a connection.

        After the wait, a connection with unacknowledged data is to be reset. If all data is
        acknowledged, the connection can be forgotten: a reset could keep the peer from reading the
        data it has received.

        :param now: the time in seconds.
        """
        unsent, delivered = connection.unsent, connection.delivered
        seen = self._progress.get(connection)
        if seen is None or seen[:2] != (unsent, delivered):
            self._progress[connection] = unsent, delivered, now
            return True
        return now - seen[2] <= (_PEER_S if delivered else _STALLED_S)


async def _drained(host: Host) -> None:
    """Wait until the programs' data has been delivered, as long as there is progress."""
    orphans = Orphans()
    clock = asyncio.get_running_loop().time
    while True:
        waiting = False
        for connection in host.streams.connections:
            if orphans.waits_for(connection, clock()):
                waiting = True
            elif not connection.delivered:
                waiting = True  # wait until the stack has removed the connection
                connection.abort()
                host.wake()
        if not waiting:
            break
        await asyncio.sleep(_LOOK_S)
    if not host.streams.connections:
        await host.finish()
    for forgotten in host.streams.connections:
        host.streams.on_ended(forgotten)


class _Session:
    """The program from its start to its end, and the signals in that time."""

    def __init__(self, keeper: Keeper, heir: Heir, watcher: Watcher) -> None:
        loop = asyncio.get_running_loop()
        self._keeper = keeper
        self._heir = heir
        self._watcher = watcher
        self.whole = True  # whether every connection ended in order
        self._last: asyncio.Future[None] | None = None  # the task to wait for after the program
        self.over: asyncio.Future[int] = loop.create_future()
        loop.add_reader(keeper, self._ended)
        for number in PASSED_ON:
            loop.add_signal_handler(number, self._pass_on, number)

    async def lasting(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for a task after the program's end, or until a signal asks to end."""
        self._last = asyncio.ensure_future(work)
        await self._last

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._keeper)
        self._watcher.ended()
        status = self._keeper.returncode()
        if status is None:  # the keeper was killed
            self._keeper.kill(self._heir.pid)
        self.over.set_result(-signal.SIGKILL if status is None else status)

    def _pass_on(self, number: int) -> None:
        """Pass a signal on to the program. After its end, kill the processes that it has left."""
        if not self.over.done():
            self._keeper.send(number)
            return
        self._keeper.kill(self._heir.pid)
        if self._last is not None:
            self.whole = False
            self._last.cancel()


def _allow_descriptors() -> None:
    """Raise the descriptor limit of this process, but not of the program, to its maximum.

    Each connection takes two descriptors: our end of the pair, and the one that reserves its port
    in the kernel.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _ignoring() -> Iterator[None]:
    """Leave Ctrl-C to the program. A terminal sends it to all processes."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in IGNORED]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
