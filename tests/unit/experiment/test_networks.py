"""The networks of cells: the structure is made once for all cells that share it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed import document
from testbed.errors import InputError
from testbed.experiment import networks
from testbed.experiment.networks import Networks
from testbed.topology.load import is_shaping, loads_topology, substitute
from testbed.topology.model import Family
from testbed.topology.resolve import resolve, structure
from testbed.topology.spec import TopologySpec

TEXT = """
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
  lte: {between: [client, server]}
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Notes each structure that is made."""
    found: list[object] = []

    def noted(*args: Any, **options: Any) -> object:
        found.append(args)
        return structure(*args, **options)

    monkeypatch.setattr(networks, "structure", noted)
    return found


@pytest.mark.parametrize(
    "values",
    [
        {"links.wifi.delay": "30ms", "links.wifi.loss": "1%"},
        {"links.lte.rate": "5mbit"},
        {"links.lte.toward.server.delay": "5ms", "links.wifi.toward.client.rate": "1mbit"},
        {"links.wifi.mtu": 1400, "links.wifi.delay": "1ms"},
        {"nodes.client.mptcp": False},
        {"mptcp.family": "ipv6"},
    ],
)
@pytest.mark.parametrize("family", [None, Family.IPV6])
def test_a_cells_network_is_the_one_that_is_resolved_of_its_own(
    values: dict[str, Any], family: Family | None
) -> None:
    written = loads_topology(TEXT)
    raw = written.raw
    for path, value in values.items():
        raw = substitute(raw, path, value)
    alone = document.convert(raw, TopologySpec, written.positions, written.name)
    wanted = None if alone.value.mptcp.family else family
    cells = Networks(written)
    cells.network({}, family)  # a call that leaves the structure unchanged
    assert cells.network(values, family).topology == resolve(alone, family=wanted)


def test_what_differs_in_shaping_alone_shares_a_structure(made: list[object]) -> None:
    cells = Networks(loads_topology(TEXT))
    first = cells.network({"links.wifi.delay": "1ms"}, None)
    second = cells.network({"links.wifi.delay": "2ms", "links.lte.toward.server.loss": "1%"}, None)
    assert len(made) == 1
    assert first.topology != second.topology
    ends = "client", "server", Family.IPV4, None
    assert first.route(*ends) is second.route(*ends)


@pytest.mark.parametrize("other", [{"links.wifi.mtu": 1400}, {"nodes.client.kind": "router"}])
def test_anything_else_makes_another_structure(made: list[object], other: dict[str, Any]) -> None:
    cells = Networks(loads_topology(TEXT))
    cells.network({}, None)
    cells.network(other, None)
    cells.network({}, Family.IPV6)
    assert len(made) == 3


def test_values_that_are_equal_but_not_the_same_are_told_apart(made: list[object]) -> None:
    cells = Networks(loads_topology(TEXT))
    cells.network({"links.lte.offload": True}, None)
    with pytest.raises(InputError, match=r"links\.lte\.offload"):
        cells.network({"links.lte.offload": 1}, None)


def test_a_direction_to_a_node_that_is_not_at_the_link_is_refused_whatever_is_known() -> None:
    cells = Networks(loads_topology(TEXT))
    cells.network({}, None)
    with pytest.raises(InputError, match="'clent' is not an end of this link"):
        cells.network({"links.wifi.toward.clent.delay": "5ms"}, None)


def test_which_paths_lead_to_shaping() -> None:
    shaping = ("links.wifi.delay", "links.wifi.netem", "links.wifi.toward.client.rate")
    assert all(map(is_shaping, shaping))
    others = ("links.wifi.mtu", "links.wifi", "nodes.client.kind", "generate.star.netem.delay")
    assert not any(map(is_shaping, others))
