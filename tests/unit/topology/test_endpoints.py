"""The MPTCP endpoints and limits that a topology resolves to."""

from __future__ import annotations

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import EndpointFlag, Family, Limits
from testbed.topology.resolve import resolve
from tests.topologies import TWO, error_of, load

FLAGS: dict[str, list[tuple[str, ...]]] = {
    "client: {}": [("subflow",), ("subflow",)],
    "client: {mptcp: false}": [],
    "client: {mptcp: {endpoints: none}}": [],
    "client: {mptcp: {endpoints: fullmesh}}": [("subflow", "fullmesh")] * 2,
    "client: {mptcp: {endpoints: [subflow, backup]}}": [("subflow", "backup")] * 2,
    "client: {mptcp: {endpoints: [{interface: lte, flags: [signal], id: 7}]}}": [("signal",)],
}


@pytest.mark.parametrize("client", FLAGS)
def test_endpoints_of_the_initiator(client: str) -> None:
    text = TWO + "  lte: {between: [client, server]}\n"
    topology = load(text.replace("client: {}", client))
    wanted = [tuple(map(EndpointFlag, flags)) for flags in FLAGS[client]]
    assert [endpoint.flags for endpoint in topology.node("client").endpoints] == wanted
    flags = [endpoint.flags for endpoint in topology.node("server").endpoints]
    assert flags == [(EndpointFlag.SIGNAL,)] * 2


def test_an_end_decides_about_its_own_endpoint() -> None:
    topology = load(
        TWO
        + "  lte:\n    between: {client: {endpoint: [subflow, backup]}, server: {endpoint: none}}"
    )
    assert [e.flags for e in topology.node("client").endpoints] == [
        (EndpointFlag.SUBFLOW,),
        (EndpointFlag.SUBFLOW, EndpointFlag.BACKUP),
    ]
    assert [e.address for e in topology.node("server").endpoints] == ["10.0.1.2"]


def test_eight_endpoints_of_a_node_unless_more_are_asked_for() -> None:
    links = "".join(f"  l{i}: {{between: [client, server]}}\n" for i in range(9))
    text = f"nodes: {{client: {{}}, server: {{}}}}\nlinks:\n{links}"
    assert len(load(text).node("client").endpoints) == 8
    written = text.replace("client: {}", "client: {mptcp: {endpoints: subflow}}")
    assert len(load(written).node("client").endpoints) == 9
    more = "".join(f"  m{i}: {{between: [client, server]}}\n" for i in range(56))
    assert error_of(written + more).startswith(
        "lab.yaml:1: nodes.client.mptcp.endpoints: 'client' has more than 64 endpoints"
    )


def test_an_endpoint_of_an_address_that_the_node_need_not_have() -> None:
    entries = "{address: 192.0.2.7, flags: [signal], id: 4}, {interface: wifi, flags: [subflow]}"
    client = f"client: {{mptcp: {{endpoints: [{entries}]}}}}"
    found = load(TWO.replace("client: {}", client)).node("client").endpoints
    assert [(e.address, e.id, e.interface) for e in found] == [
        ("10.0.1.1", 1, "wifi"),
        ("192.0.2.7", 4, ""),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{address: 192.0.2, flags: [signal]}", "'192.0.2' is not an address"),
        ("{flags: [signal]}", "an endpoint needs an interface, an address, or both"),
        (
            "{address: 10.0.1.1, flags: [signal]}, {interface: wifi, flags: [subflow]}",
            "two endpoints have 10.0.1.1",
        ),
        (
            "{address: 10.9.0.1, flags: [signal]}, {address: 10.9.0.1, flags: [signal]}",
            "'10.9.0.1' appears twice",
        ),
    ],
)
def test_endpoints_that_cannot_be(entry: str, message: str) -> None:
    client = f"client: {{mptcp: {{endpoints: [{entry}]}}}}"
    error = error_of(TWO.replace("client: {}", client))
    assert error.startswith("lab.yaml:1: nodes.client.mptcp.endpoints")
    assert message in error


def test_ids_of_endpoints_are_different() -> None:
    text = TWO + "  lte: {between: [client, server]}\n"
    entries = "{interface: wifi, flags: [subflow], id: 2}, {interface: lte, flags: [subflow]}"
    client = f"client: {{mptcp: {{endpoints: [{entries}]}}}}"
    ids = [e.id for e in load(text.replace("client: {}", client)).node("client").endpoints]
    assert ids == [2, 1]
    twice = client.replace("lte, flags: [subflow]", "lte, flags: [subflow], id: 2")
    assert "two endpoints have the id 2" in error_of(text.replace("client: {}", twice))


def test_limits() -> None:
    topology = load(
        "nodes: {a: {mptcp: {limits: {subflows: 2}}}, b: {mptcp: false}, r: {kind: router}, c: {}}"
    )
    assert topology.node("a").limits == Limits(subflows=2, add_addr_accepted=8)
    assert topology.node("b").limits is None
    assert topology.node("r").limits is None
    assert topology.node("c").limits == Limits(subflows=8, add_addr_accepted=8)


@pytest.mark.parametrize(
    ("mptcp", "override", "count"),
    [("{}", None, 1), ("{family: ipv6}", None, 1), ("{family: both}", None, 2)],
)
def test_family_of_endpoints(mptcp: str, override: Family | None, count: int) -> None:
    document = loads_topology(
        f"mptcp: {mptcp}\nnodes: {{a: {{mptcp: {{endpoints: subflow}}}}, b: {{}}}}\n"
        "links: {x: {between: [a, b]}}"
    )
    assert len(resolve(document, family=override).node("a").endpoints) == count
    only = resolve(document, family=Family.IPV6).node("a").endpoints
    assert [endpoint.address for endpoint in only] == ["fd00:0:0:1::1"]
