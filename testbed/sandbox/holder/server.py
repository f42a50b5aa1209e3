"""The holder's event loop: clients, their requests and the ends of processes."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from functools import singledispatchmethod

import msgspec

from testbed.errors import InputError, SandboxError, TestbedError
from testbed.failure import Failure
from testbed.sandbox import model, protocol, registry
from testbed.sandbox.holder import changing, processes
from testbed.sandbox.holder.connection import Connection
from testbed.sandbox.holder.counted import Counted, listen
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.network import Network
from testbed.wire.report import WireReport
from testbed.wire.schedule import NEVER

_ENTRANCE = ("user", "mnt", "pid")


class Stopped(Exception):  # noqa: N818 - a way out of the loop, not an error
    """A client or a signal has requested the end."""


class Server:
    """Serves the clients of one sandbox.

    :param control: the creator's connection, whose end ends a sandbox that is not detached.
    :param listener: the socket to which further clients connect.
    :param release: makes the holder independent of the creator.
    """

    def __init__(
        self,
        name: str,
        control: socket.socket,
        listener: socket.socket,
        release: Callable[[], None],
    ) -> None:
        self._name = name
        self._owner = os.geteuid()
        self._started_at = time.time()
        self._listener = listener
        self._release = release
        self._background = False
        self._fault: str | None = None
        self._limits = processes.Limits()
        self._features = Features()
        self._network = Network(self._features)
        # Counters by node; only nodes that a program has entered.
        self._counted: dict[str, Counted] = {}
        self._processes: dict[int, tuple[Connection, tuple[str, ...]]] = {}
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._creator = self._adopt(control)
        listener.settimeout(0)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._watch_children()

    def run(self) -> None:
        """Serve until a request to stop or, if not detached, the end of the creator."""
        try:
            while True:
                for key, events in self._selector.select(self._until_change_s()):
                    key.data(events)
                if self._fault is None and self._network.next_ns <= time.monotonic_ns():
                    self._play()
        except Stopped:
            return

    def _until_change_s(self) -> float | None:
        """Return the time to the next scheduled change of a wire in seconds, or None."""
        if self._network.next_ns == NEVER or self._fault is not None:
            return None
        return max(0.0, (self._network.next_ns - time.monotonic_ns()) / 1e9)

    def _play(self) -> None:
        try:
            self._network.play(time.monotonic_ns())
        except TestbedError as error:
            self._fail(f"a scheduled change of a wire failed: {error}")

    def _fail(self, fault: str) -> None:
        """Record a fault, after which most requests fail, and report it to all clients."""
        self._fault = fault
        for connection in self._connections:
            connection.send(protocol.Fault(Failure.of(SandboxError(fault))))

    def _watch_children(self) -> None:
        """Let signals wake the loop: a child's end, and SIGTERM, which ends the sandbox."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.settimeout(0)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        self._selector.register(woken, selectors.EVENT_READ, lambda _: self._signalled(woken))

    def _signalled(self, woken: socket.socket) -> None:
        if signal.SIGTERM in woken.recv(4096):
            raise Stopped
        for ended in processes.reap():
            entry = self._processes.pop(ended.pid, None)
            if entry is not None:
                connection, _ = entry
                connection.children.discard(ended.pid)
                connection.send(ended.message())
            else:
                self._check_emulator(ended)

    def _check_emulator(self, ended: processes.Ended) -> None:
        """Report a fault if the emulator has ended, because its wires then carry nothing."""
        if ended.pid != self._network.emulator_pid:
            return
        status = os.waitstatus_to_exitcode(ended.status)
        self._fail(f"the emulator ended (status {status}): its wires no longer carry frames")

    def _accept(self, _: int) -> None:
        sock, _address = self._listener.accept()
        if registry.peer(sock)[1] != self._owner:
            sock.close()
            return
        self._adopt(sock)

    def _adopt(self, sock: socket.socket) -> Connection:
        connection = Connection(sock, self._selector)
        self._connections.add(connection)
        self._selector.register(
            connection, selectors.EVENT_READ, lambda events: self._serve(connection, events)
        )
        return connection

    def _serve(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            connection.flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            for request in connection.receive():
                self._answer(connection, request)
        except (EOFError, ValueError):  # closed, or an invalid message
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        """Close a client's connection and kill the processes that it started.

        If the sandbox is not detached, the end of its creator ends the sandbox.
        """
        if connection is self._creator and not self._background:
            raise Stopped
        for pid in connection.children:
            self._processes.pop(pid)
            processes.kill_group(pid, signal.SIGKILL)
        self._selector.unregister(connection)
        self._connections.discard(connection)
        connection.close()

    def _answer(self, connection: Connection, request: protocol.AnyRequest) -> None:
        try:
            value = self._do(request, connection)
        except TestbedError as error:
            connection.send(protocol.Failed(request.id, Failure.of(error)))
        else:
            if isinstance(value, protocol.Done):
                return
            raw = msgspec.Raw(msgspec.msgpack.encode(value))
            connection.send(protocol.Done(request.id, raw))

    @singledispatchmethod
    def _do(self, request: protocol.AnyRequest, connection: Connection) -> object:
        raise NotImplementedError(request)

    @_do.register
    def _execute(self, request: protocol.Execute, _: Connection) -> model.Execution:
        self._require_health()
        done = self._network.execute(
            request.operations, topology=request.topology, verify=request.verify
        )
        if request.change is not None:
            changing.note(self._network, request.change)
        return done

    @_do.register
    def _change(self, request: protocol.Change, _: Connection) -> model.Changed:
        self._require_health()
        return changing.change(self._network, request.changes, dry_run=request.dry_run)

    @_do.register
    def _spawn(self, request: protocol.Spawn, connection: Connection) -> int:
        descriptors = connection.take_descriptors(len(request.targets))
        try:
            self._require_health()
            place = self._network.inside(request.namespace)
        except (InputError, SandboxError):
            for fd in descriptors:
                os.close(fd)
            raise
        with place:
            pid = processes.spawn(request, descriptors, self._limits)
        self._processes[pid] = (connection, request.argv)
        connection.children.add(pid)
        return pid

    @_do.register
    def _signal(self, request: protocol.Signal, connection: Connection) -> None:
        if request.pid in connection.children:
            processes.kill_group(request.pid, request.signal)

    @_do.register
    def _observe(self, request: protocol.Observe, _: Connection) -> object:
        seen = self._network.observe(request.namespaces)
        counted = {
            name: msgspec.structs.replace(state, own_counters=self._counted[name].total())
            for name, state in seen.namespaces.items()
            if name in self._counted
        }
        return msgspec.structs.replace(seen, namespaces=seen.namespaces | counted)

    @_do.register
    def _read_wires(self, _request: protocol.ReadWires, _: Connection) -> WireReport:
        self._require_health()
        return self._network.wires()

    @_do.register
    def _probe(self, _request: protocol.ProbeFeatures, _: Connection) -> object:
        return self._features.all()

    @_do.register
    def _enter(self, request: protocol.Enter, connection: Connection) -> protocol.Done:
        network = self._network.descriptor(request.namespace)
        self._listen_for_counters(request.namespace)
        opened = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in _ENTRANCE]
        descriptors = (*opened, network)
        answer = protocol.Done(request.id, descriptors=len(descriptors))
        connection.send(answer, descriptors)
        for fd in opened:
            os.close(fd)
        return answer

    def _listen_for_counters(self, node: str) -> None:
        """Listen for the counters of programs on our own stack that will run in a node."""
        if node not in self._counted:
            with self._network.inside(node):
                counted = self._counted[node] = Counted(listen())
            self._selector.register(
                counted.listener, selectors.EVENT_READ, lambda _: counted.take()
            )

    @_do.register
    def _detach(self, _request: protocol.Detach, _: Connection) -> None:
        if not self._background:
            self._release()
            self._background = True

    @_do.register
    def _stop(self, _request: protocol.Stop, _: Connection) -> None:
        raise Stopped

    @_do.register
    def _describe(self, _request: protocol.Describe, _: Connection) -> model.Description:
        present = self._network.present
        return model.Description(
            name=self._name,
            topology=None if present is None else present.built,
            states={} if present is None else present.states(),
            namespaces=tuple(self._network.names()),
            engine=self._network.engines(),
            background=self._background,
            fault=self._fault,
            started_at=self._started_at,
            processes={pid: argv for pid, (_, argv) in self._processes.items()},
        )

    def _require_health(self) -> None:
        if self._fault is not None:
            raise SandboxError(self._fault, hint="take the sandbox down and start it again")
