"""The drawing of a topology, and its table."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed.report.network import network, rows
from testbed.topology.load import load_topology
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from tests.topologies import load

SHIPPED = Path(__file__).parents[3] / "topologies"
SVG = "{http://www.w3.org/2000/svg}"


def shipped(name: str) -> Topology:
    return resolve(load_topology(SHIPPED / f"{name}.yaml"))


def drawn(topology: Topology, first: str | None = None) -> ElementTree.Element:
    text = network(topology, first)
    assert text is not None
    return ElementTree.fromstring(text)


def texts(drawing: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in drawing.iter(f"{SVG}text")]


def test_tunnels_are_drawn_dashed_with_their_kind_and_addresses() -> None:
    drawing = drawn(shipped("vpn"), "phone")
    classes = [path.get("class") for path in drawing.iter(f"{SVG}path")]
    assert classes == ["link"] * 5 + ["link tunnel"] * 2
    assert {"vpn", "wireguard", "site", "gre", "10.0.6.1", "10.0.7.2"} <= {*texts(drawing)}
    assert "vpn (wireguard) between phone and gateway" in (drawing.get("aria-label") or "")


def test_a_tunnel_over_several_columns_goes_below_all_nodes() -> None:
    drawing = drawn(shipped("vpn"), "phone")
    lowest = max(
        float(each.get("y") or 0) + float(each.get("height") or 0)
        for each in drawing.iter(f"{SVG}rect")
    )
    (y,) = (float(it.get("y") or 0) for it in drawing.iter(f"{SVG}text") if it.text == "vpn")
    height = float((drawing.get("viewBox") or "").split()[3])
    assert lowest < y < height


def test_vlans_are_named_on_their_link_with_the_addresses_at_its_ends() -> None:
    found = texts(drawn(shipped("vlans")))
    assert found.count("VLAN 10, 20") == 2
    assert {"10: 10.0.1.1", "20: 10.0.2.1", "10: 10.0.1.2", "20: 10.0.2.2"} <= {*found}


def test_vrfs_are_named_at_their_router() -> None:
    assert "VRF red, blue" in texts(drawn(shipped("vrf")))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("vlans", ("trunk.10", "client (trunk.10)", "10.0.1.1/24, fd00:0:0:1::1/64", "with trunk")),
        (
            "vpn",
            (
                "site",
                "branch (site)",
                "10.0.7.1/24, fd00:0:0:7::1/64",
                "type gre local 10.0.3.1 remote 10.0.4.2 ttl 64 key 7",
            ),
        ),
    ],
)
def test_the_table_has_the_ends_of_vlans_and_tunnels(name: str, row: tuple[str, ...]) -> None:
    assert row in [*rows(shipped(name))]


def test_a_tunnel_within_one_column_is_drawn() -> None:
    text = """
nodes: {a: , r: {kind: router}, b: , c: }
links: {x: {between: [a, r]}, y: {between: [r, b]}, z: {between: [r, c]}}
tunnels: {t: {between: [b, c], kind: ip6gre}}
"""
    drawing = drawn(load(text), "a")
    assert [path.get("class") for path in drawing.iter(f"{SVG}path")][-1] == "link tunnel"
    assert "ip6gre" in texts(drawing)
