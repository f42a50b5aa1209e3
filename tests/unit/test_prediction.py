"""The subflows of every shipped topology, worked out by hand, and the path manager's limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.prediction import address_of, expected_subflows, joins, subflows
from testbed.topology.load import load_topology, loads_topology
from testbed.topology.model import Family, Topology
from testbed.topology.resolve import resolve

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

# Each was also seen on Linux 6.18.  IPv6 connections take up announced IPv4 addresses as well:
# there the server's first IPv4 address, which was not dialled, counts too.
BY_HAND = {
    "two_paths": ("client", "server", 2, 3),
    "three_paths": ("client", "server", 3, 4),
    "wifi_lte": ("phone", "server", 2, 3),
    "single_homed_server": ("client", "server", 2, 1),  # IPv4 endpoints, nothing announced
    "shared_bottleneck": ("client", "server", 2, 1),
    "multi_hop": ("client", "server", 2, 3),
    "lan_switch": ("client", "server", 2, 3),
    "dual_stack": ("client", "server", 1, 3),
    "line": ("n1", "n5", 1, 1),
    "star": ("h1", "h200", 1, 1),
    "starlink_lte": ("laptop", "server", 2, 3),
    "train": ("phone", "server", 2, 3),
    "wifi_walk": ("phone", "server", 2, 3),
    "two_cards": ("client", "server", 2, 3),
    "vlans": ("client", "server", 2, 3),
    "vpn": ("phone", "server", 3, 1),
    "vrf": ("red-a", "red-b", 1, 1),
    "fat_tree": ("h1", "h16", 1, 1),
    "bcube": ("h1", "h16", 2, 1),  # both open subflows, and announce nothing
}


def shipped(name: str, family: Family | None = None) -> Topology:
    return resolve(load_topology(TOPOLOGIES / f"{name}.yaml"), family=family)


def test_every_shipped_topology_is_worked_out() -> None:
    assert set(BY_HAND) == {path.stem for path in TOPOLOGIES.glob("*.yaml")}


@pytest.mark.parametrize("name", BY_HAND)
def test_shipped_topology(name: str) -> None:
    client, server, ipv4, ipv6 = BY_HAND[name]
    topology = shipped(name)
    assert expected_subflows(topology, client, server, Family.IPV4) == ipv4
    assert expected_subflows(topology, client, server, Family.IPV6) == ipv6


@pytest.mark.parametrize("name", BY_HAND)
def test_shipped_topology_begins_with_a_drawing(name: str) -> None:
    assert (TOPOLOGIES / f"{name}.yaml").read_text().startswith("# ")


def test_endpoints_of_the_connections_family() -> None:
    topology = shipped("two_paths", Family.IPV6)
    assert expected_subflows(topology, "client", "server", Family.IPV6) == 2
    assert expected_subflows(topology, "client", "server", Family.IPV4) == 1


def routed(client: str = "", server: str = "") -> Topology:
    """Two interfaces on each side of one router: any address reaches any other."""
    return resolve(
        loads_topology(
            f"nodes: {{client: {{{client}}}, r: {{kind: router}}, server: {{{server}}}}}\n"
            "links:\n  one: {between: [client, r]}\n  two: {between: [client, r]}\n"
            "  three: {between: [r, server]}\n  four: {between: [r, server]}\n"
        )
    )


def pairs(topology: Topology, address: str | None = None) -> list[tuple[str, str]]:
    found = subflows(topology, "client", "server", Family.IPV4, address)
    return [(each.source, each.destination) for each in found]


INITIAL = ("10.0.1.1", "10.0.3.2")


@pytest.mark.parametrize(
    ("client", "server", "more"),
    [
        # The endpoint to the dialled address; routing picks the source for the announced one.
        ("", "", [("10.0.2.1", "10.0.3.2"), ("10.0.1.1", "10.0.4.2")]),
        ("mptcp: {limits: {subflows: 1}}", "", [("10.0.2.1", "10.0.3.2")]),
        ("", "mptcp: {limits: {subflows: 1}}", [("10.0.2.1", "10.0.3.2")]),
        ("mptcp: {limits: {subflows: 0}}", "", []),
        ("mptcp: {limits: {add_addr_accepted: 0}}", "", [("10.0.2.1", "10.0.3.2")]),
        ("mptcp: {endpoints: none}", "", [("10.0.1.1", "10.0.4.2")]),
        ("", "mptcp: {endpoints: none}", [("10.0.2.1", "10.0.3.2")]),
        (
            "mptcp: {endpoints: fullmesh}",
            "",
            [("10.0.2.1", "10.0.3.2"), ("10.0.1.1", "10.0.4.2"), ("10.0.2.1", "10.0.4.2")],
        ),
        # The kernel's own limits: two more subflows, no ADD_ADDR.
        ("mptcp: false", "", []),
    ],
)
def test_path_manager(client: str, server: str, more: list[tuple[str, str]]) -> None:
    assert pairs(routed(client, server)) == [INITIAL, *more]


def test_another_dialled_address() -> None:
    assert pairs(routed(), "10.0.4.2") == [
        ("10.0.1.1", "10.0.4.2"),
        ("10.0.2.1", "10.0.4.2"),
        ("10.0.1.1", "10.0.3.2"),
    ]


def test_an_announced_port_makes_the_dialled_address_another() -> None:
    topology = routed(
        "mptcp: {endpoints: none}",
        "mptcp: {endpoints: [{interface: three, flags: [signal], port: 6000}]}",
    )
    found = subflows(topology, "client", "server", Family.IPV4)
    assert [(each.destination, each.port) for each in found] == [
        ("10.0.3.2", None),
        ("10.0.3.2", 6000),
    ]


def test_a_syn_nobody_answers_takes_up_room() -> None:
    """Bound to the wrong interface, IPv4 sends SYNs on the link; IPv6 finds no route."""
    client = "policy_routing: false, mptcp: {limits: {subflows: 1}}"
    text = (
        f"nodes: {{client: {{{client}}}, server: {{}}}}\nlinks:\n"
        "  one: {between: [client, server]}\n  two: {between: [client, server]}\n"
    )
    topology = resolve(loads_topology(text))
    assert expected_subflows(topology, "client", "server", Family.IPV4) == 1
    topology = resolve(loads_topology(text), family=Family.IPV6)
    assert expected_subflows(topology, "client", "server", Family.IPV6) == 2


def test_what_cannot_be_asked() -> None:
    topology = shipped("multi_hop")
    with pytest.raises(InputError, match="there is no node 'servr'; did you mean 'server'"):
        address_of(topology, "servr", Family.IPV4)
    with pytest.raises(InputError, match="'server' is not an end of a link 'a4'; did you mean"):
        address_of(topology, "server", Family.IPV4, "a4")
    assert address_of(topology, "server", Family.IPV6, "b4") == "fd00:0:0:7::2"
    apart = resolve(loads_topology("nodes: {a: {}, b: {}, c: {}}\nlinks: {x: {between: [a, b]}}"))
    with pytest.raises(InputError, match="'c' has no ipv4 address"):
        expected_subflows(apart, "a", "c", Family.IPV4)
    hosts = "nodes: {a: {}, b: {}, c: {}}\nlinks: {x: {between: [a, b]}, y: {between: [b, c]}}"
    with pytest.raises(InputError, match=r"'a' has no route to 10\.0\.2\.2 of 'c'"):
        expected_subflows(resolve(loads_topology(hosts)), "a", "c", Family.IPV4)


def test_a_server_that_takes_no_joins_to_its_first_address() -> None:
    denying = "sysctls: {net.mptcp.allow_join_initial_addr_port: 0}"
    assert pairs(routed("", denying)) == [INITIAL, ("10.0.1.1", "10.0.4.2")]
    assert pairs(routed("", f"{denying}, mptcp: {{endpoints: none}}")) == [INITIAL]


def test_what_endpoints_ask_for_whatever_limits_say() -> None:
    topology = routed("mptcp: {limits: {subflows: 0}}", "mptcp: {limits: {subflows: 0}}")
    found = joins(topology, "client", "server", "10.0.1.1", "10.0.3.2")
    assert [(each.owner, each.source, each.destination) for each in found] == [
        ("client", "10.0.2.1", "10.0.3.2"),
        ("server", "10.0.1.1", "10.0.4.2"),
    ]
