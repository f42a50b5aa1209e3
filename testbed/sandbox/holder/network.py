"""The execution of operations: grouped by namespace, sent in batches, read back and verified."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatchmethod
from typing import Final

from testbed.errors import InputError, SandboxError
from testbed.hints import nearest
from testbed.netlink.codec import NETLINK_GENERIC, Request
from testbed.sandbox import model, syscalls, verify
from testbed.sandbox.holder import read
from testbed.sandbox.holder.birth import HOSTS
from testbed.sandbox.holder.features import Features
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.holder.queue import Queue
from testbed.sandbox.holder.wires import Wires
from testbed.sandbox.netlink import addresses, links, mptcp, wireguard
from testbed.sandbox.observation import NamespaceState, Observation
from testbed.topology import operations as ops
from testbed.topology.devices import Vlan, kind_of
from testbed.topology.model import Topology
from testbed.topology.names import hosts_file
from testbed.topology.operations import Placed
from testbed.topology.present import Present
from testbed.wire.report import WireReport

_SETTLING_S: Final = 10.0  # a work queue of the kernel, which may be busy, switches carriers on
_POLL_S: Final = 0.002


class Network:
    """The namespaces of a sandbox.

    Operations become requests in one queue per namespace. The queue of the wire namespace is sent
    first, because it creates the veth pairs that the others need. Within a namespace the order
    stays. Only a wire waits until all operations before it have been carried out.
    """

    def __init__(self, features: Features) -> None:
        wire = Namespace.current(ops.WIRE)
        self.present: Present | None = None  # the present state of a network that a plan has built
        self._features = features
        self._wire = wire
        self._namespaces = {ops.WIRE: wire}
        self._wires = Wires(self._namespaces, features)
        self._queues: dict[str, Queue] = {}
        self._bridges: list[tuple[ops.AddBridge, int]] = []  # still down
        self._has_settings = False  # whether sysctls are queued
        self._last_index = max(wire.indices.values())

    @property
    def emulator_pid(self) -> int | None:
        """The pid of the emulator, or None if it does not run."""
        return self._wires.emulator_pid

    def names(self) -> Iterable[str]:
        """Return the names of the namespaces in the order of creation."""
        return self._namespaces.keys()

    def engines(self) -> dict[str, str]:
        """Return the engine of each wire."""
        return self._wires.engines()

    @property
    def next_ns(self) -> int:
        """The time of the next scheduled change of a wire (CLOCK_MONOTONIC)."""
        return self._wires.next_ns

    def play(self, now_ns: int) -> None:
        """Carry out the scheduled changes that are due.

        :raises TestbedError: the kernel refused one.
        """
        with self._sockets():
            self._wires.play(now_ns)

    def wires(self) -> WireReport:
        """Return the shaping and the counters of every wire."""
        with self._sockets():
            return self._wires.report()

    def descriptor(self, name: str) -> int:
        """Return the descriptor of a namespace.

        :raises InputError: no namespace has the name.
        """
        return self._namespace(name).descriptor

    def inside(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Return a context in which this thread is in a namespace.

        :raises InputError: no namespace has the name.
        """
        return self._namespace(name).entered()

    def execute(
        self, operations: Sequence[ops.AnyOperation], *, topology: Topology | None, verify: bool
    ) -> model.Execution:
        """Carry out and verify operations; see :meth:`testbed.sandbox.Sandbox.execute`."""
        started = time.monotonic()
        self._require_devices(operations)
        if topology is not None:
            self.become(Present.at_first(topology))
        with self._sockets():
            self._refresh(operations)
            for operation in operations:
                self._prepare(operation)
            self._flush()
            if verify:
                self._verify([each for each in operations if not isinstance(each, ops.AddBridge)])
            bridges = self._raise_bridges()
            if verify:
                self._verify(bridges)
        added = {each.link for each in operations if isinstance(each, ops.AddWire)}
        engine = {link: name for link, name in self.engines().items() if link in added}
        return model.Execution(engine=engine, seconds=time.monotonic() - started)

    def observe(self, names: Iterable[str] | None) -> Observation:
        """Read the state of namespaces (None: all of them).

        :raises InputError: one does not exist.
        """
        chosen = self._namespaces if names is None else names
        with self._sockets():
            states = {
                name: read.everything(self._namespace(name), self._features.path_manager)
                for name in chosen
            }
        return Observation(namespaces=states, time_ns=time.monotonic_ns())

    def become(self, present: Present) -> None:
        """Record the present network, and update the names of its hosts."""
        self.present = present
        HOSTS.write_text(hosts_file(present.topology, socket.gethostname()))

    def configuration(self, names: Iterable[str]) -> dict[str, NamespaceState]:
        """Read the parts of the state of namespaces that changes can concern."""
        with self._sockets():
            return {
                name: read.configuration(self._namespace(name), self._features.path_manager)
                for name in names
            }

    def shapings(self) -> tuple[ops.SetWire, ...]:
        """Return the operations that would set all present options of every wire's directions."""
        return self._wires.shapings()

    def commands(self, operations: Iterable[ops.AnyOperation]) -> tuple[str, ...]:
        """Return the equivalent commands of iproute2 for operations, including shaping."""
        return self._wires.commands(operations)

    @contextlib.contextmanager
    def _sockets(self) -> Iterator[None]:
        """Let namespaces open netlink sockets within the context, and close them at its end."""
        self._queues.clear()
        self._bridges.clear()
        self._has_settings = False
        try:
            yield
        finally:
            for namespace in self._namespaces.values():
                namespace.release()

    def _namespace(self, name: str) -> Namespace:
        try:
            return self._namespaces[name]
        except KeyError:
            hint = nearest(name, self._namespaces)
            raise InputError(f"the sandbox has no node {name!r}", hint=hint) from None

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            self._queues[name] = Queue(self._namespace(name))
        return self._queues[name]

    def _refresh(self, operations: Iterable[ops.AnyOperation]) -> None:
        """Read interfaces again, because others may have changed them."""
        for name in {name for each in operations for name in verify.namespaces(each)}:
            if name in self._namespaces:
                self._namespaces[name].refresh()
                indices = self._namespaces[name].indices
                self._last_index = max(self._last_index, *indices.values())

    def _require_devices(self, operations: Iterable[ops.AnyOperation]) -> None:
        """Refuse kinds of interfaces that this kernel lacks before any operation is carried out."""
        kinds = {kind_of(it.device): None for it in operations if isinstance(it, ops.AddDevice)}
        for kind in kinds:
            missing = self._features.missing(kind)
            if missing is not None:
                raise missing

    def _flush(self) -> None:
        """Send the queued requests, first those of the wire namespace."""
        first = self._queues.pop(ops.WIRE, None)
        for queue in filter(None, (first, *self._queues.values())):
            queue.flush()
        self._queues.clear()
        self._has_settings = False

    def _raise_bridges(self) -> list[ops.AddBridge]:
        """Bring new bridges up after all other operations; return those that add them.

        Each host that comes up sends some multicast, and a bridge that is up floods it to all
        others. For a large network this takes time proportional to the square of the number of
        hosts.
        """
        for operation, index in self._bridges:
            self._queue(operation.namespace).route(operation, links.set_link(index, up=True))
        self._flush()
        return [operation for operation, _ in self._bridges]

    def _verify(self, operations: Sequence[ops.AnyOperation]) -> None:
        expectations = verify.expectations(operations)
        patience = time.monotonic() + _SETTLING_S
        for name, wanted in expectations.items():
            self._verify_in(self._namespace(name), wanted, patience)
        self._wires.verify(operations)

    def _verify_in(
        self,
        namespace: Namespace,
        wanted: Mapping[verify.Key, verify.Expectation],
        patience: float,
    ) -> None:
        """Compare the facts when all carriers are as expected, or after the time ``patience``."""
        while True:
            facts = read.facts(namespace, wanted, self._features.path_manager)
            if verify.settled(wanted, facts) or time.monotonic() > patience:
                return verify.compare(wanted, facts)
            time.sleep(_POLL_S)

    @singledispatchmethod
    def _prepare(self, operation: ops.AnyOperation) -> None:
        raise NotImplementedError(operation)

    @_prepare.register
    def _add_namespace(self, operation: ops.AddNamespace) -> None:
        name = operation.namespace
        if name in self._namespaces:
            raise SandboxError(f"the sandbox already has a node {name}")
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            space = self._namespaces[name] = Namespace.current(name)
        finally:
            syscalls.setns(self._wire.descriptor)
        self._last_index = max(self._last_index, *space.indices.values())
        self._queue(name).route(operation, links.set_link(links.LOOPBACK, up=True))

    @_prepare.register
    def _add_bridge(self, operation: ops.AddBridge) -> None:
        index = self._new_index(operation.namespace, operation.interface)
        queue = self._queue(operation.namespace)
        queue.route(operation, links.new_bridge(operation.interface, index))
        self._bridges.append((operation, index))

    @_prepare.register
    def _add_veth(self, operation: ops.AddVeth) -> None:
        a, b = operation.a, operation.b
        if self._has_settings:  # an interface inherits its namespace's settings when it is created
            self._flush()
        if b.namespace == ops.WIRE:  # only the first end can be created up and as a port
            a, b = b, a
        spaces = self._namespace(a.namespace), self._namespace(b.namespace)
        indices = [self._new_index(end.namespace, end.interface) for end in (a, b)]
        masters = [
            0 if end.bridge is None else space.index(end.bridge, operation)
            for end, space in zip((a, b), spaces, strict=True)
        ]
        message = links.new_veth(
            a,
            b,
            (indices[0], indices[1]),
            (spaces[0].descriptor, spaces[1].descriptor),
            masters[0],
        )
        self._queue(ops.WIRE).route(operation, message)
        up = links.set_link(indices[1], up=True, master=masters[1])
        self._queue(b.namespace).route(operation, up)
        for end in (a, b):
            if not end.offload:
                self._queue(end.namespace).disable_offload(operation, end.interface)

    @_prepare.register
    def _add_device(self, operation: ops.AddDevice) -> None:
        device, lower = operation.device, 0
        if isinstance(device, Vlan):
            lower = self._index(operation, device.lower)
        index = self._new_index(operation.namespace, operation.interface)
        message = links.new_device(
            operation.interface, index, device, lower, operation.mac, operation.mtu
        )
        self._route(operation, message)

    @_prepare.register
    def _set_wireguard(self, operation: ops.SetWireGuard) -> None:
        namespace = self._namespace(operation.namespace)
        family = wireguard.number(namespace.socket(NETLINK_GENERIC))
        index = self._index(operation, operation.interface)
        if family is None:
            raise self._features.missing("wireguard") or RuntimeError("WireGuard vanished")
        message = wireguard.set_device(family, index, operation.peered)
        self._queue(operation.namespace).generic(operation, message)

    @_prepare.register
    def _set_master(self, operation: ops.SetMaster) -> None:
        index, master = (
            self._index(operation, name) for name in (operation.interface, operation.master)
        )
        message = links.set_master(index, master)
        self._route(operation, message)

    @_prepare.register
    def _set_sysctl(self, operation: ops.SetSysctl) -> None:
        self._has_settings = True
        self._queue(operation.namespace).sysctl(operation, operation.key, operation.value)

    @_prepare.register
    def _set_link(self, operation: ops.SetLink) -> None:
        index = self._index(operation, operation.interface)
        self._route(operation, links.set_link(index, up=operation.up))

    @_prepare.register
    def _add_address(self, operation: ops.AddAddress) -> None:
        index = self._index(operation, operation.interface)
        self._route(operation, addresses.add_address(index, operation.address))

    @_prepare.register
    def _remove_address(self, operation: ops.RemoveAddress) -> None:
        index = self._index(operation, operation.interface)
        self._route(operation, addresses.remove_address(index, operation.address))

    @_prepare.register
    def _add_neighbour(self, operation: ops.AddNeighbour) -> None:
        index = self._index(operation, operation.neighbour.interface)
        self._route(operation, addresses.add_neighbour(operation.neighbour, index))

    @_prepare.register
    def _remove_neighbour(self, operation: ops.RemoveNeighbour) -> None:
        index = self._index(operation, operation.neighbour.interface)
        self._route(operation, addresses.remove_neighbour(operation.neighbour, index))

    @_prepare.register
    def _add_rule(self, operation: ops.AddRule) -> None:
        self._route(operation, addresses.add_rule(operation.rule))

    @_prepare.register
    def _remove_rule(self, operation: ops.RemoveRule) -> None:
        self._route(operation, addresses.remove_rule(operation.rule))

    @_prepare.register
    def _add_route(self, operation: ops.AddRoute) -> None:
        ways = self._ways_out(operation)
        self._route(operation, addresses.add_route(operation.route, ways))

    @_prepare.register
    def _remove_route(self, operation: ops.RemoveRoute) -> None:
        ways = self._ways_out(operation)
        self._route(operation, addresses.remove_route(operation.route, ways))

    def _ways_out(self, operation: ops.AddRoute | ops.RemoveRoute) -> dict[str, int]:
        """Return the indices of the interfaces of a route by name."""
        route, namespace = operation.route, self._namespace(operation.namespace)
        names = [each.interface for each in route.nexthops]
        if route.interface is not None:
            names.append(route.interface)
        return {name: namespace.index(name, operation) for name in names}

    @_prepare.register
    def _set_limits(self, operation: ops.SetLimits) -> None:
        family = self._features.require_path_manager()
        message = mptcp.set_limits(family, operation.limits)
        self._queue(operation.namespace).generic(operation, message)

    @_prepare.register
    def _add_endpoint(self, operation: ops.AddEndpoint) -> None:
        family = self._features.require_path_manager()
        interface = operation.endpoint.interface
        index = self._index(operation, interface) if interface else 0
        message = mptcp.add_endpoint(family, operation.endpoint, index)
        self._queue(operation.namespace).generic(operation, message)

    @_prepare.register
    def _remove_endpoint(self, operation: ops.RemoveEndpoint) -> None:
        family = self._features.require_path_manager()
        message = mptcp.remove_endpoint(family, operation.id)
        self._queue(operation.namespace).generic(operation, message)

    @_prepare.register
    def _change_endpoint(self, operation: ops.ChangeEndpoint) -> None:
        family = self._features.require_path_manager()
        message = mptcp.change_endpoint(family, operation.endpoint)
        self._queue(operation.namespace).generic(operation, message)

    @_prepare.register
    def _add_wire(self, operation: ops.AddWire) -> None:
        self._flush()
        self._wires.add(operation)

    @_prepare.register
    def _set_wire(self, operation: ops.SetWire) -> None:
        self._flush()
        self._wires.set(operation)

    @_prepare.register
    def _begin_traces(self, _operation: ops.BeginTraces) -> None:
        self._flush()
        self._wires.begin_traces()

    def _index(self, operation: Placed, interface: str) -> int:
        return self._namespace(operation.namespace).index(interface, operation)

    def _route(self, operation: Placed, message: Request) -> None:
        self._queue(operation.namespace).route(operation, message)

    def _new_index(self, namespace: str, interface: str) -> int:
        """Choose the index of an interface to create, which the kernel accepts.

        No index is used twice in a sandbox. If the ends of a veth pair have the same index, the
        kernel does not recognise the pair and lets it send up to a second late
        (linkwatch_urgent_event).
        """
        known = self._namespace(namespace).indices
        self._last_index += 1
        known[interface] = self._last_index
        return self._last_index
