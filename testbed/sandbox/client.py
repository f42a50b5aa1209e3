"""The client's side of a sandbox: :class:`Sandbox` and the processes started in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import msgspec

import testbed.sandbox.launch as launch
import testbed.sandbox.model as model
import testbed.sandbox.protocol as protocol
import testbed.sandbox.registry as registry
from testbed.errors import SandboxError
from testbed.sandbox.attach import Entrance
from testbed.sandbox.channel import Channel
from testbed.sandbox.observation import Observation
from testbed.topology.operations import AnyOperation, Plan
from testbed.topology.present import AnyChange
from testbed.wire.report import WireReport

T = TypeVar("T")

_SERVER: Final = "testbed.sandbox.holder.server"  # what a holder is but for its birth

# Where sandboxes without a name come from.
_nurseries: Final[list[launch.Nursery]] = []


@contextlib.contextmanager
def nursery(programs: Iterable[str] = ()) -> Iterator[None]:
    """Have the sandboxes without a name come from one process, which starts now.

    It loads what they need while other things are done, and only once for all of them.  They end
    with the context.

    :param programs: modules of ours that will be started in nodes.
    """
    here = launch.Nursery((_SERVER, *programs))
    _nurseries.append(here)
    try:
        yield
    finally:
        _nurseries.remove(here)
        here.end()


class Process:
    """A process in a node, started by :meth:`Sandbox.spawn`."""

    def __init__(self, channel: Channel, pid: int, argv: tuple[str, ...], name: str) -> None:
        self.pid = pid  # as the sandbox's own processes see it
        self.argv = argv
        self.name = name
        self._channel = channel

    async def wait(self, timeout: float | None = None) -> model.Exit:
        """Return how it ended.

        :param timeout: seconds; :class:`TimeoutError` when they have passed.
        :raises SandboxError: the sandbox failed or went away first.
        """
        exited = await asyncio.wait_for(asyncio.shield(self._channel.exited(self.pid)), timeout)
        return model.Exit(
            returncode=os.waitstatus_to_exitcode(exited.status),
            cpu_user_s=exited.cpu_user_s,
            cpu_system_s=exited.cpu_system_s,
            max_rss_bytes=exited.max_rss_bytes,
        )

    async def kill(self, number: int = signal.SIGTERM) -> None:
        """Signal its process group; no error if it has ended."""
        await self._channel.request(protocol.Signal, pid=self.pid, signal=int(number))


class Sandbox:
    """A private set of namespaces, alive as long as its holder process.

    Use :meth:`create` for a new one and :meth:`connect` for one that runs.  As a context manager
    it is closed at the end: a sandbox one created in the foreground ends with that.
    """

    def __init__(self, name: str, channel: Channel, holder: launch.Holder) -> None:
        self.name = name
        self._channel = channel
        self._holder = holder
        self._owned = isinstance(holder, launch.Stem)
        self._gone = False

    @classmethod
    async def create(cls, name: str | None = None, *, background: bool = False) -> Sandbox:
        """Start a sandbox.

        :param name: under which others can connect; by default a random one.
        :param background: it outlives this process from :meth:`detach` on; see there.
        :raises SandboxError: the name is taken, or the holder did not come up.
        :raises PlatformError: the kernel forbids a namespace or a mount.
        """
        if name is None and _nurseries:
            name = registry.new_name()
            birth = _nurseries[-1].order(name)
        else:
            name = registry.new_name() if name is None else registry.check_name(name)
            birth = launch.start(name)
        channel = Channel(birth.control, birth.last_words)
        try:
            ready = await channel.ready()
        except BaseException:
            channel.close()
            birth.over()
            raise
        (pidfd,) = channel.take_descriptors(1)
        sandbox = cls(name, channel, launch.Stem(ready.pid, pidfd, birth))
        if background:
            await sandbox.detach()
        return sandbox

    @classmethod
    async def connect(cls, name: str) -> Sandbox:
        """Connect to a running sandbox; :class:`NoSuchSandboxError` if there is none."""
        connection = registry.connect(name)
        holder = launch.Holder(registry.peer(connection)[0])
        return cls(name, Channel(connection, holder.last_words), holder)

    @staticmethod
    def running() -> list[str]:
        """Return the names of this user's running sandboxes; root sees those of all users."""
        return [name for _, name in registry.running()]

    @property
    def holder_pid(self) -> int:
        """The process that holds the sandbox, or its stem; killing it ends the sandbox."""
        return self._holder.pid

    async def execute(
        self,
        operations: Plan | Iterable[AnyOperation],
        *,
        change: AnyChange | None = None,
        verify: bool = True,
    ) -> model.Execution:
        """Carry operations out in order, then read everything they asked for back.

        :param operations: a plan, or any operations; of a plan the sandbox keeps the topology.
        :param change: what the operations do, if they were planned as a change: the sandbox keeps
            the state that it leads to, as of :meth:`change`.
        :param verify: False skips reading back.
        :raises OperationError: the kernel refused one, or what it shows is not what was wanted.
            Operations before it, and perhaps some after it, have been carried out.
        :raises PlatformError: the kernel lacks what one of them needs.
        """
        topology = None
        if isinstance(operations, Plan):
            topology, operations = operations.topology, operations.operations
        return await self._ask(
            protocol.Execute,
            model.Execution,
            operations=tuple(operations),
            topology=topology,
            change=change,
            verify=verify,
        )

    async def change(self, *changes: AnyChange, dry_run: bool = False) -> model.Changed:
        """Change the network that a plan has built, from how it is at the moment.

        All changes are carried out and verified, or none: after an error the network is as before.

        :param dry_run: only say what would be done.
        :raises InputError: one of them names what the network does not have.
        :raises OperationError: the kernel refused something, or shows something else.
        """
        return await self._ask(protocol.Change, model.Changed, changes=changes, dry_run=dry_run)

    async def spawn(
        self,
        namespace: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        pass_fds: Mapping[int, int] | None = None,
        name: str = "",
    ) -> Process:
        """Start a program on a node, in a session of its own.

        It is killed with its process group when this connection ends.

        :param namespace: a node, or ``@wire``.
        :param env: its whole environment; by default ours.
        :param cwd: its working directory; by default ours.
        :param stdin: a descriptor of ours; by default /dev/null, as for ``stdout`` and ``stderr``.
        :param pass_fds: its descriptor number (3 to 255) -> a descriptor of ours.
        :param name: what to call it in messages; by default the program.
        :raises SandboxError: no such node or program.
        """
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            standard = (null if fd is None else fd for fd in (stdin, stdout, stderr))
            descriptors = {**dict(enumerate(standard)), **(pass_fds or {})}
            pid = await self._ask(
                protocol.Spawn,
                int,
                send=tuple(descriptors.values()),
                namespace=namespace,
                argv=tuple(argv),
                env=dict(os.environ if env is None else env),
                cwd=str(Path.cwd()) if cwd is None else cwd,
                targets=tuple(descriptors),
            )
        finally:
            os.close(null)
        return Process(self._channel, pid, tuple(argv), name or argv[0])

    async def observe(self, namespaces: Iterable[str] | None = None) -> Observation:
        """Read the state of some namespaces (default: all) from the kernel."""
        wanted = None if namespaces is None else tuple(namespaces)
        return await self._ask(protocol.Observe, Observation, namespaces=wanted)

    async def wires(self) -> WireReport:
        """Read shaping and counters of every wire."""
        return await self._ask(protocol.ReadWires, WireReport)

    async def describe(self) -> model.Description:
        """Say what this sandbox is and what was done in it."""
        return await self._ask(protocol.Describe, model.Description)

    async def features(self) -> tuple[model.Feature, ...]:
        """Try out what the kernel can do, in scratch namespaces of the sandbox."""
        return await self._ask(protocol.ProbeFeatures, tuple[model.Feature, ...])

    async def entrance(self, namespace: str) -> Entrance:
        """Return the way into a node for a program that shares our terminal."""
        answer = await self._channel.request(protocol.Enter, namespace=namespace)
        return Entrance(*self._channel.take_descriptors(answer.descriptors))

    async def detach(self) -> None:
        """Let the sandbox live on without us: from here on only :meth:`stop` ends it.

        Until then it dies with this process, so an interrupted ``testbed up`` leaves nothing.
        """
        await self._ask(protocol.Detach, None)
        self._owned = False
        if isinstance(self._holder, launch.Stem):
            await self._holder.gone()

    async def close(self) -> None:
        """Leave: a sandbox of ours ends, with everything in it, before this returns."""
        if self._owned:
            await self.stop()
        else:
            self._channel.close()

    async def stop(self) -> None:
        """End the sandbox, also one of another process; returns when its processes are gone.

        The kernel frees the network namespaces right after, in the background.
        """
        with contextlib.suppress(SandboxError):  # it ends instead of answering
            await self._ask(protocol.Stop, None)
        self._channel.close()
        if not self._gone:
            self._gone = True
            await self._holder.gone()

    async def _ask(
        self,
        kind: type[protocol.Request],
        answer: type[T] | None,
        *,
        send: Sequence[int] = (),
        **fields: object,
    ) -> T:
        done = await self._channel.request(kind, send=send, **fields)
        return msgspec.msgpack.decode(done.value, type=answer)

    async def __aenter__(self) -> Sandbox:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
