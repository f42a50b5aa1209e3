"""The decisions of path managers for given states."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from testbed.errors import InputError
from testbed.packet.address import Address
from testbed.stack.mptcp.local_ids import LocalIds
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    CloseSubflow,
    Command,
    OpenSubflow,
    PathEndpoint,
    PathLimits,
    PathManager,
    RemoteAddress,
    SetBackup,
    SubflowPath,
    Withdraw,
)

A1, A2, A3, A6 = "10.0.1.1", "10.0.2.1", "10.0.3.1", "fd00:0:0:1::1"
B1, B2 = Address("10.0.1.2", 80), Address("10.0.2.2", 80)


class View:
    """A connection from A1 to B1 as a manager sees it."""

    def __init__(
        self, *hosts: str, initiator: bool = True, endpoints: Sequence[PathEndpoint] = ()
    ) -> None:
        self.ids = LocalIds(A1, endpoints)
        self.initiator = initiator
        self.initial = SubflowPath(local_host=A1, local_id=0, remote=B1, remote_id=0)
        self.join_initial_denied = False
        self.open_paths = [self.initial]
        self.remotes = [RemoteAddress(0, B1)]
        self.local_hosts = list(hosts)
        self.route: str | None = A2

    def local_id(self, host: str) -> int | None:
        return self.ids.of(host)

    def source_for(self, remote_host: str) -> str | None:
        assert remote_host
        return self.route

    def add(self, command: Command) -> None:
        """Open the subflow of a command."""
        assert isinstance(command, OpenSubflow)
        path = SubflowPath(
            local_host=command.local_host,
            local_id=command.local_id,
            remote=command.remote.address,
            remote_id=command.remote.id,
        )
        self.open_paths.append(path)


def kernel_like(*endpoints: PathEndpoint, subflows: int = 8, accepted: int = 8) -> PathManager:
    limits = PathLimits(subflows=subflows, add_addr_accepted=accepted)
    return PATH_MANAGERS["kernel_like"](endpoints, limits)


def opened(local: str, number: int, remote: RemoteAddress, *, backup: bool = False) -> OpenSubflow:
    return OpenSubflow(local_host=local, local_id=number, remote=remote, backup=backup)


def test_unknown_manager() -> None:
    with pytest.raises(InputError, match="command, fullmesh, kernel_like, ndiffports"):
        PATH_MANAGERS["none"]((), PathLimits())


@pytest.mark.requirement("RFC 8684", "3.9.1-SHOULD-1", "3.9.1-SHOULD-2")
def test_subflow_endpoints_connect_to_the_initial_address() -> None:
    view = View(A1, A2, A3)
    manager = kernel_like(
        PathEndpoint(host=A1, id=1, subflow=True),
        PathEndpoint(host=A2, id=2, subflow=True),
        PathEndpoint(host=A3, id=3, subflow=True, backup=True),
        PathEndpoint(host=A6, id=4, subflow=True),
    )
    assert list(manager.established(view)) == [
        opened(A2, 2, view.remotes[0]),
        opened(A3, 3, view.remotes[0], backup=True),
    ]


@pytest.mark.requirement("RFC 8684", "3.4.1-MAY-4")
def test_signal_endpoints_are_announced_first() -> None:
    view = View(A1, A2, A3)
    manager = kernel_like(
        PathEndpoint(host=A2, id=2, subflow=True), PathEndpoint(host=A3, id=3, signal=True, port=9)
    )
    assert list(manager.established(view)) == [
        Announce(id=3, host=A3, port=9),
        opened(A2, 2, view.remotes[0]),
    ]


def test_the_initial_address_is_announced_with_a_port_of_its_own() -> None:
    manager = kernel_like(
        PathEndpoint(host=A1, id=1, signal=True),
        PathEndpoint(host=A1, id=2, signal=True, port=9),
    )
    assert list(manager.established(View(A1))) == [Announce(id=2, host=A1, port=9)]


def test_an_endpoint_whose_address_is_not_there_is_not_used() -> None:
    manager = kernel_like(PathEndpoint(host=A2, id=2, subflow=True))
    assert list(manager.established(View(A1))) == []


def test_limit_of_subflows() -> None:
    view = View(A1, A2, A3)
    manager = kernel_like(
        PathEndpoint(host=A2, id=2, subflow=True),
        PathEndpoint(host=A3, id=3, subflow=True),
        subflows=1,
    )
    assert manager.accepts_join(view, Address(A1, 80), listening=True)
    (only,) = manager.established(view)
    view.add(only)
    assert not manager.accepts_join(view, Address(A1, 80), listening=True)
    assert list(manager.announced(view, RemoteAddress(5, B2))) == []


def test_announced_address_is_connected_to_as_routing_says() -> None:
    endpoint = PathEndpoint(host=A2, id=2, subflow=True)
    view = View(A1, A2, endpoints=(endpoint,))
    manager = kernel_like(endpoint)
    remote = RemoteAddress(5, B2)
    assert list(manager.announced(view, remote)) == [opened(A2, 2, remote)]
    view.route = A1
    assert list(kernel_like().announced(view, remote)) == [opened(A1, 0, remote)]
    view.route = None
    assert list(kernel_like().announced(view, remote)) == []


def test_fullmesh_endpoints_take_announced_addresses() -> None:
    view = View(A1, A2)
    manager = kernel_like(
        PathEndpoint(host=A1, id=1, subflow=True, fullmesh=True),
        PathEndpoint(host=A2, id=2, subflow=True, fullmesh=True),
    )
    remote = RemoteAddress(5, B2)
    assert list(manager.announced(view, remote)) == [opened(A1, 0, remote), opened(A2, 2, remote)]


@pytest.mark.requirement("RFC 8684", "3.4.1-MAY-1")
def test_limit_of_accepted_addresses() -> None:
    view = View(A1, A2)
    manager = kernel_like(accepted=1)
    first, second = RemoteAddress(5, B2), RemoteAddress(6, Address("10.0.3.2", 80))
    assert list(manager.announced(view, first))
    assert list(manager.announced(view, second)) == []
    assert list(manager.withdrawn(view, first)) == []
    assert list(manager.announced(view, second))


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-2")
def test_initial_address_that_takes_no_joins() -> None:
    """RFC 8684, section 3.1: the C flag."""
    view = View(A1, A2)
    view.join_initial_denied = True
    assert list(kernel_like(PathEndpoint(host=A2, id=2, subflow=True)).established(view)) == []


def test_removed_address_is_withdrawn() -> None:
    view = View(A2)
    manager = kernel_like(PathEndpoint(host=A2, id=2, subflow=True))
    assert list(manager.address_removed(view, A1)) == [Withdraw(id=0)]
    assert list(manager.address_removed(view, A2)) == [Withdraw(id=2)]
    assert list(manager.address_removed(view, A3)) == []


def test_added_address_is_used() -> None:
    view = View(A1, A2)
    manager = kernel_like(PathEndpoint(host=A2, id=2, subflow=True, signal=True))
    assert list(manager.address_added(view, A2)) == [
        Announce(id=2, host=A2),
        opened(A2, 2, view.remotes[0]),
    ]
    assert list(manager.address_added(view, A3)) == []


@pytest.mark.parametrize("name", ["kernel_like", "fullmesh"])
def test_the_initial_address_is_used_again_once_its_endpoint_is_back(name: str) -> None:
    """As Linux does from 6.10 on: a subflow whose address has the id 0."""
    first = PathEndpoint(host=A1, id=1, subflow=True)
    second = PathEndpoint(host=A2, id=2, subflow=True)
    view = View(A1, A2)
    manager = PATH_MANAGERS[name]((first, second), PathLimits())
    (join,) = (it for it in manager.established(view) if isinstance(it, OpenSubflow))
    view.add(join)
    assert Withdraw(id=0) in list(manager.endpoint_removed(view, first))
    view.open_paths.remove(view.initial)
    assert opened(A1, 0, view.remotes[0]) in list(manager.endpoint_added(view, first))


def test_an_endpoint_of_the_initial_subflow_opens_no_second_one() -> None:
    view = View(A1, A2)
    manager = kernel_like()
    assert list(manager.endpoint_added(view, PathEndpoint(host=A1, id=1, subflow=True))) == []


def test_full_mesh_of_the_initiator() -> None:
    view = View(A1, A2, A6)
    manager = PATH_MANAGERS["fullmesh"]((), PathLimits())
    commands = list(manager.established(view))
    assert commands == [
        Announce(id=1, host=A2),
        Announce(id=2, host=A6),
        opened(A2, 1, view.remotes[0]),
    ]
    view.add(commands[-1])
    remote = RemoteAddress(5, B2)
    view.remotes.append(remote)
    assert list(manager.announced(view, remote)) == [opened(A1, 0, remote), opened(A2, 1, remote)]


def test_full_mesh_is_opened_by_one_side_only() -> None:
    view = View(A1, A2, initiator=False)
    manager = PATH_MANAGERS["fullmesh"]((), PathLimits())
    assert list(manager.established(view)) == [Announce(id=1, host=A2)]
    assert list(manager.address_removed(view, A1)) == [Withdraw(id=0)]


def test_full_mesh_uses_what_endpoints_say() -> None:
    endpoints = (PathEndpoint(host=A2, id=7, backup=True),)
    view = View(A1, A2, endpoints=endpoints)
    manager = PATH_MANAGERS["fullmesh"](endpoints, PathLimits(subflows=1))
    commands = list(manager.established(view))
    assert commands == [Announce(id=7, host=A2), opened(A2, 7, view.remotes[0], backup=True)]
    view.add(commands[-1])
    assert not manager.accepts_join(view, Address(A1, 80), listening=True)


def test_full_mesh_opens_a_pair_once() -> None:
    """The peer may announce its initial address too."""
    view = View(A1, A2)
    view.remotes = [RemoteAddress(0, B1), RemoteAddress(5, B1), RemoteAddress(6, B2)]
    manager = PATH_MANAGERS["fullmesh"]((), PathLimits())
    opens = [one for one in manager.established(view) if isinstance(one, OpenSubflow)]
    pairs = [(one.local_host, one.remote.address.host) for one in opens]
    assert sorted(pairs) == sorted({(A1, B2.host), (A2, B1.host), (A2, B2.host)})


def test_full_mesh_with_more_addresses_than_ids() -> None:
    hosts = [f"10.1.{number // 200}.{number % 200 + 1}" for number in range(300)]
    view = View(A1, *hosts)
    manager = PATH_MANAGERS["fullmesh"]((), PathLimits(subflows=1000))
    commands = list(manager.established(view))
    assert len({one.id for one in commands if isinstance(one, Announce)}) == 255
    assert len({one.local_id for one in commands if isinstance(one, OpenSubflow)}) == 255


@pytest.mark.requirement("RFC 8684", "3.2-MUST-1", "3.4.1-MUST-2")
def test_addresses_that_are_no_endpoints_have_ids_of_their_own() -> None:
    """Section 3.2: REMOVE_ADDR of one must not hit the subflows of another."""
    view = View(A1, A2, A3)
    manager = kernel_like()
    numbers = []
    for number, route in enumerate((A2, A3), 5):
        view.route = route
        (command,) = manager.announced(view, RemoteAddress(number, Address(f"10.0.{number}.2", 80)))
        view.add(command)
        numbers.append(view.open_paths[-1].local_id)
    assert len(set(numbers)) == 2


def test_initial_address_of_a_backup_endpoint() -> None:
    """The kernel asks for it by MP_PRIO: the SYN of MP_CAPABLE has no B."""
    view = View(A1)
    assert list(kernel_like(PathEndpoint(host=A1, id=1, backup=True)).established(view)) == [
        SetBackup(flow=view.initial.flow, backup=True)
    ]


def test_connection_of_ipv4_has_no_subflows_of_ipv6() -> None:
    view = View(A1, A6)
    view.remotes.append(RemoteAddress(3, Address("fd00:0:0:1::2", 80)))
    view.route = A6
    manager = kernel_like(PathEndpoint(host=A6, id=2, subflow=True, fullmesh=True))
    assert list(manager.established(view)) == []
    assert list(manager.announced(view, view.remotes[1])) == []


@pytest.mark.parametrize("port", [80, 4000])
@pytest.mark.parametrize("listening", [False, True])
def test_joins_come_to_ports_that_are_open_or_announced(port: int, listening: bool) -> None:
    view = View(A1, A2)
    manager = kernel_like(PathEndpoint(host=A2, id=2, signal=True, port=4000))
    taken = manager.accepts_join(view, Address(A2, port), listening=listening)
    assert taken is (listening or port == 4000)


def test_announced_address_in_place_of_the_initial_one() -> None:
    """From 6.18 on, where the peer has set C and no ADD_ADDR would be accepted otherwise."""
    view = View(A1, A2, A3)
    view.join_initial_denied = True
    manager = kernel_like(
        PathEndpoint(host=A2, id=2, subflow=True),
        PathEndpoint(host=A3, id=3, subflow=True),
        accepted=0,
    )
    remote = RemoteAddress(5, B2)
    assert list(manager.established(view)) == []
    commands = list(manager.announced(view, remote))
    assert commands == [opened(A2, 2, remote), opened(A3, 3, remote)]
    for command in commands:
        view.add(command)
    assert list(manager.announced(view, RemoteAddress(6, Address("10.0.3.2", 80)))) == []


def test_laminar_endpoints_take_one_announced_address_each() -> None:
    view = View(A1, A2, A3)
    manager = kernel_like(
        PathEndpoint(host=A2, id=2, laminar=True), PathEndpoint(host=A3, id=3, laminar=True)
    )
    for number, expected in ((5, [(A2, 2)]), (6, [(A3, 3)]), (7, [])):
        remote = RemoteAddress(number, Address(f"10.0.{number}.2", 80))
        commands = [one for one in manager.announced(view, remote) if isinstance(one, OpenSubflow)]
        assert [(one.local_host, one.local_id) for one in commands] == expected
        for command in commands:
            view.add(command)


def test_laminar_endpoint_of_the_initial_subflow_is_taken() -> None:
    view = View(A1, A2)
    manager = kernel_like(
        PathEndpoint(host=A1, id=1, laminar=True), PathEndpoint(host=A2, id=2, laminar=True)
    )
    remote = RemoteAddress(5, B2)
    assert list(manager.announced(view, remote)) == [opened(A2, 2, remote)]


@pytest.mark.requirement("RFC 8684", "3.4.1-MAY-3")
def test_laminar_endpoint_that_gets_free_serves_an_address_that_found_none() -> None:
    view = View(A1, A2)
    manager = kernel_like(PathEndpoint(host=A2, id=2, subflow=True, laminar=True))
    (first,) = manager.established(view)
    view.add(first)
    remote = RemoteAddress(5, B2)
    assert list(manager.announced(view, remote)) == []
    gone = view.open_paths.pop()
    assert list(manager.subflow_closed(view, gone)) == [opened(A2, 2, remote)]
    assert list(manager.subflow_closed(view, gone)) == []


def test_address_announced_again_with_other_ports_waits_once() -> None:
    """A peer may announce an id again and again; what it has announced last counts."""
    view = View(A1, A2)
    manager = kernel_like(PathEndpoint(host=A2, id=2, subflow=True, laminar=True))
    (first,) = manager.established(view)
    view.add(first)
    remotes = [RemoteAddress(5, Address(B2.host, port)) for port in range(80, 100)]
    for remote in remotes:
        assert list(manager.announced(view, remote)) == []
    gone = view.open_paths.pop()
    assert list(manager.subflow_closed(view, gone)) == [opened(A2, 2, remotes[-1])]


def test_different_ports_fill_the_limit_with_one_pair_of_addresses() -> None:
    view = View(A1, A2)
    manager = PATH_MANAGERS["ndiffports"]((), PathLimits(subflows=3))
    assert list(manager.established(view)) == 3 * [opened(A1, 0, view.remotes[0])]
    assert list(manager.announced(view, RemoteAddress(5, B2))) == []
    view.join_initial_denied = True
    assert list(manager.established(view)) == []
    assert list(manager.established(View(A1, initiator=False))) == []


@pytest.mark.parametrize("name", ["command", "ndiffports"])
def test_joins_come_to_open_ports_within_the_limit(name: str) -> None:
    view = View(A1, A2, initiator=False)
    manager = PATH_MANAGERS[name]((), PathLimits(subflows=1))
    assert not manager.accepts_join(view, Address(A1, 80), listening=False)
    assert manager.accepts_join(view, Address(A1, 80), listening=True)
    view.add(opened(A1, 0, view.remotes[0]))
    assert not manager.accepts_join(view, Address(A1, 80), listening=True)


def test_manager_on_command_does_nothing_by_itself() -> None:
    endpoint = PathEndpoint(host=A2, id=2, subflow=True, signal=True)
    view = View(A1, A2)
    manager = PATH_MANAGERS["command"]((endpoint,), PathLimits())
    assert list(manager.established(view)) == []
    assert list(manager.announced(view, RemoteAddress(5, B2))) == []
    assert list(manager.address_added(view, A2)) == []
    assert list(manager.endpoint_removed(view, endpoint)) == []


def test_endpoint_that_leaves_the_mesh_keeps_one_subflow() -> None:
    """The kernel closes its subflows and opens those that its flags ask for now."""
    mesh = PathEndpoint(host=A2, id=2, subflow=True, fullmesh=True)
    view = View(A1, A2)
    manager = kernel_like(mesh)
    remote = RemoteAddress(5, B2)
    view.remotes.append(remote)
    for command in manager.established(view):
        view.add(command)
    assert [path.remote for path in view.open_paths] == [B1, B1, B2]
    plain = msgspec.structs.replace(mesh, fullmesh=False)
    flows = [path.flow for path in view.open_paths[1:]]
    assert list(manager.endpoint_changed(view, mesh, plain)) == [
        CloseSubflow(flow=flows[0]),
        CloseSubflow(flow=flows[1]),
        opened(A2, 2, view.remotes[0]),
    ]


def test_pair_that_is_there_is_not_opened_again() -> None:
    endpoint = PathEndpoint(host=A2, id=2, subflow=True)
    view = View(A1, A2)
    manager = kernel_like(endpoint)
    (command,) = manager.established(view)
    view.add(command)
    assert list(manager.address_added(view, A2)) == []
