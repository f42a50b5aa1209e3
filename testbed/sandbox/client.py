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

_SERVER: Final = "testbed.sandbox.holder.server"  # imports all that a holder needs

# The nursery of the sandboxes without a name.
_nurseries: Final[list[launch.Nursery]] = []


@contextlib.contextmanager
def nursery(programs: Iterable[str] = ()) -> Iterator[None]:
    """Start one process that creates all sandboxes without a name.

    It imports the modules of the holders once, in parallel to the caller's work. The sandboxes end
    with the context.

    :param programs: modules of testbed that will be started in nodes.
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
        self.pid = pid  # its process ID in the PID namespace of the sandbox
        self.argv = argv
        self.name = name
        self._channel = channel

    async def wait(self, timeout: float | None = None) -> model.Exit:
        """Wait for the end of the process; return its status and usage.

        :param timeout: seconds, after which :class:`TimeoutError` is raised.
        :raises SandboxError: the sandbox failed or ended first.
        """
        exited = await asyncio.wait_for(asyncio.shield(self._channel.exited(self.pid)), timeout)
        return model.Exit(
            returncode=os.waitstatus_to_exitcode(exited.status),
            cpu_user_s=exited.cpu_user_s,
            cpu_system_s=exited.cpu_system_s,
            max_rss_bytes=exited.max_rss_bytes,
        )

    async def kill(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process group; no error if it has ended."""
        await self._channel.request(protocol.Signal, pid=self.pid, signal=int(number))


class Sandbox:
    """A private set of namespaces, which lives as long as its holder process.

    Use :meth:`create` for a new sandbox and :meth:`connect` for a running one. The context manager
    closes it at the end, which ends a sandbox that was created in the foreground.
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

        :param name: the name for further clients; by default a random name.
        :param background: whether the sandbox outlives this process after :meth:`detach`.
        :raises SandboxError: the name is in use, or the holder did not start.
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
        """Return the names of this user's running sandboxes; for root, those of all users."""
        return [name for _, name in registry.running()]

    @property
    def holder_pid(self) -> int:
        """The pid of the holder or of its stem. To kill this process ends the sandbox."""
        return self._holder.pid

    async def execute(
        self,
        operations: Plan | Iterable[AnyOperation],
        *,
        change: AnyChange | None = None,
        verify: bool = True,
    ) -> model.Execution:
        """Carry out operations in order, then read back and verify their results.

        :param operations: a plan or other operations. The sandbox keeps the topology of a plan.
        :param change: the change that the operations carry out, if they were planned as a change.
            The sandbox keeps the resulting state, as with :meth:`change`.
        :param verify: whether to read back and verify the results.
        :raises OperationError: the kernel refused an operation, or its state differs from the
            wanted one. The operations before it, and perhaps some after it, have been carried out.
        :raises PlatformError: the kernel lacks a feature that an operation needs.
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
        """Change the network that a plan has built, starting from its present state.

        Either all changes are carried out and verified, or none: an error leaves the network as it
        was before.

        :param dry_run: whether to only report the operations and not carry them out.
        :raises InputError: a change names something that the network does not have.
        :raises OperationError: the kernel refused an operation, or its state differs from the
            wanted one.
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

        The program and its process group are killed when this connection ends.

        :param namespace: a node, or ``@wire``.
        :param env: the program's whole environment; by default that of this process.
        :param cwd: the working directory; by default that of this process.
        :param stdin: a descriptor of this process; by default /dev/null, as for ``stdout`` and
            ``stderr``.
        :param pass_fds: the program's descriptor number (3 to 255) -> a descriptor of this process.
        :param name: the name of the process in messages; by default the program.
        :raises SandboxError: the node or the program does not exist.
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
        """Read the shaping and the counters of every wire."""
        return await self._ask(protocol.ReadWires, WireReport)

    async def describe(self) -> model.Description:
        """Return a description of this sandbox and its network."""
        return await self._ask(protocol.Describe, model.Description)

    async def features(self) -> tuple[model.Feature, ...]:
        """Test the features of the kernel in scratch namespaces of the sandbox."""
        return await self._ask(protocol.ProbeFeatures, tuple[model.Feature, ...])

    async def entrance(self, namespace: str) -> Entrance:
        """Return the entrance to a node for a program that shares our terminal."""
        answer = await self._channel.request(protocol.Enter, namespace=namespace)
        return Entrance(*self._channel.take_descriptors(answer.descriptors))

    async def detach(self) -> None:
        """Let the sandbox outlive this process: from now on only :meth:`stop` ends it.

        Before, it ends with this process, so an interrupted ``testbed up`` leaves nothing behind.
        """
        await self._ask(protocol.Detach, None)
        self._owned = False
        if isinstance(self._holder, launch.Stem):
            await self._holder.gone()

    async def close(self) -> None:
        """Close the connection. A sandbox that this process owns ends before the method returns."""
        if self._owned:
            await self.stop()
        else:
            self._channel.close()

    async def stop(self) -> None:
        """End the sandbox, even that of another process; return when its processes have ended.

        The kernel then frees the network namespaces in the background.
        """
        with contextlib.suppress(SandboxError):  # the holder ends instead of answering
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
