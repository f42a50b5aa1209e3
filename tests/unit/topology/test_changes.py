"""Changes of a running network, as the operations they are."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.topology import changes
from testbed.topology.load import loads_topology
from testbed.topology.operations import AnyOperation
from testbed.topology.resolve import resolve

LAB = resolve(
    loads_topology(
        "nodes: {client: {}, r: {kind: router}, server: {}, lan: {kind: switch}}\n"
        "links:\n"
        "  wifi: {between: [client, r], netem: {delay: 5ms}}\n"
        "  lte: {between: [client, r]}\n"
        "  up: {between: [r, lan]}\n"
        "  down: {between: [lan, server]}\n"
    )
)

CARRIED = resolve(
    loads_topology(
        "nodes: {client: {}, server: {}}\n"
        "links: {a: {between: [client, server]}, b: {between: [client, server], vlan: [7]}}\n"
        "tunnels: {t: {between: [client, server], kind: gre}}\n"
    )
)


def lines(operations: tuple[AnyOperation, ...]) -> list[str]:
    return [str(operation) for operation in operations]


def test_a_wire_is_cut_in_the_middle() -> None:
    assert lines(changes.link_down(LAB, "wifi")) == [
        "ip -n @wire link set dev w0a down",
        "ip -n @wire link set dev w0b down",
    ]
    assert lines(changes.link_up(LAB, "wifi")) == [
        "ip -n @wire link set dev w0a up",
        "ip -n @wire link set dev w0b up",
    ]


def test_a_direct_link_gets_back_what_the_kernel_flushed() -> None:
    assert lines(changes.link_down(LAB, "lte")) == [
        "ip -n client link set dev lte down",
        "ip -n r link set dev lte down",
    ]
    assert lines(changes.link_up(LAB, "lte")) == [
        "ip -n client link set dev lte up",
        "ip -n r link set dev lte up",
        "ip -n client address add fd00:0:0:2::1/64 dev lte nodad",
        "ip -n client neighbour replace 10.0.2.2 lladdr 02:00:00:00:00:03 dev lte nud permanent",
        (
            "ip -n client neighbour replace fd00:0:0:2::2 lladdr 02:00:00:00:00:03 dev lte"
            " nud permanent"
        ),
        "ip -n client route replace 10.0.2.0/24 dev lte src 10.0.2.1 table 1002",
        "ip -n client route replace 10.0.1.0/24 via 10.0.2.2 dev lte table 1002",
        "ip -n client route replace 10.0.3.0/24 via 10.0.2.2 dev lte table 1002",
        "ip -n client route replace fd00:0:0:2::/64 dev lte src fd00:0:0:2::1 table 1002",
        "ip -n client route replace fd00:0:0:1::/64 via fd00:0:0:2::2 dev lte table 1002",
        "ip -n client route replace fd00:0:0:3::/64 via fd00:0:0:2::2 dev lte table 1002",
        "ip -n r address add fd00:0:0:2::2/64 dev lte nodad",
        "ip -n r neighbour replace 10.0.2.1 lladdr 02:00:00:00:00:02 dev lte nud permanent",
        "ip -n r neighbour replace fd00:0:0:2::1 lladdr 02:00:00:00:00:02 dev lte nud permanent",
    ]


def test_the_port_of_a_switch_is_in_the_wire_namespace() -> None:
    assert lines(changes.link_down(LAB, "down")) == [
        "ip -n @wire link set dev p3a down",
        "ip -n server link set dev down down",
    ]


def test_shape_names_only_what_changes() -> None:
    assert lines(changes.shape(LAB, "wifi", "r", {"loss": "100%"})) == [
        "wire change wifi toward b loss 100%"
    ]
    both = changes.shape(LAB, "wifi", None, {"delay": "9ms", "loss": "none"})
    assert lines(both) == [
        "wire change wifi toward a delay 9ms loss none",
        "wire change wifi toward b delay 9ms loss none",
    ]


def test_an_address_of_the_topology_comes_back_with_its_routes() -> None:
    assert lines(changes.remove_address(LAB, "client", "wifi", "10.0.1.1/24")) == [
        "ip -n client address del 10.0.1.1/24 dev wifi"
    ]
    assert lines(changes.add_address(LAB, "client", "wifi", "10.0.1.1/24")) == [
        "ip -n client address add 10.0.1.1/24 dev wifi",
        "ip -n client neighbour replace 10.0.1.2 lladdr 02:00:00:00:00:01 dev wifi nud permanent",
        "ip -n client route replace 10.0.3.0/24 via 10.0.1.2 dev wifi",
        "ip -n client route replace 10.0.1.0/24 dev wifi src 10.0.1.1 table 1001",
        "ip -n client route replace 10.0.2.0/24 via 10.0.1.2 dev wifi table 1001",
        "ip -n client route replace 10.0.3.0/24 via 10.0.1.2 dev wifi table 1001",
    ]
    assert lines(changes.add_address(LAB, "client", "wifi", "fd00:0:0:1::1/64")) == [
        "ip -n client address add fd00:0:0:1::1/64 dev wifi nodad"
    ]


def test_a_new_address_is_routed_by_source_too() -> None:
    assert lines(changes.add_address(LAB, "client", "lte", "10.9.0.1/24")) == [
        "ip -n client address add 10.9.0.1/24 dev lte",
        "ip -n client rule add from 10.9.0.1/32 lookup 1002 priority 1005",
        "ip -n client route replace 10.9.0.0/24 dev lte src 10.9.0.1 table 1002",
    ]
    assert lines(changes.remove_address(LAB, "client", "lte", "10.9.0.1/24")) == [
        "ip -n client address del 10.9.0.1/24 dev lte",
        "ip -n client rule del from 10.9.0.1/32 lookup 1002 priority 1005",
    ]
    assert lines(changes.add_address(LAB, "server", "down", "10.0.3.9/24")) == [
        "ip -n server address add 10.0.3.9/24 dev down"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: changes.link_down(LAB, "wfi"), "'wfi' is not a link; did you mean 'wifi'?"),
        (
            lambda: changes.link_up(CARRIED, "t"),
            "'t' is a tunnel, which has no wire of its own; change the links that carry it",
        ),
        (
            lambda: changes.shape(CARRIED, "b.7", None, {"loss": "1%"}),
            "'b.7' is a VLAN, which has no wire of its own; change link 'b'",
        ),
        (
            lambda: changes.shape(LAB, "lte", None, {"loss": "1%"}),
            "link 'lte' has no wire to shape; add 'netem: {}' to link 'lte'",
        ),
        (lambda: changes.shape(LAB, "wifi", "server", {}), "'server' is not an end of link 'wifi'"),
        (lambda: changes.shape(LAB, "wifi", None, {"los": "1%"}), "los"),
        (lambda: changes.shape(LAB, "wifi", None, {"loss": "101%"}), "loss"),
        (
            lambda: changes.add_address(LAB, "client", "wlan", "10.0.0.1/8"),
            "'wlan' is not an interface of 'client'",
        ),
        (
            lambda: changes.remove_address(LAB, "client", "wifi", "10.0.0.1"),
            "'10.0.0.1' is not an address with a prefix length",
        ),
        *(
            (lambda text=text: changes.add_address(LAB, "client", "wifi", text), reason)
            for text, reason in (
                ("224.0.0.1/24", "is not a unicast address"),
                ("0.0.0.0/0", "is not a unicast address"),
                ("fe80::1%eth0/64", "is a link-local address"),
                ("10.0.1.255/24", "is the broadcast address"),
                ("10.0.1.0/24", "is the address of the network itself"),
            )
        ),
    ],
)
def test_impossible_changes(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(InputError) as caught:
        change()
    assert message in str(caught.value)
