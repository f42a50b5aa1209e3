"""Putting one other value into a topology, as the matrix of an experiment does."""

from __future__ import annotations

import pytest

from testbed import document
from testbed.errors import InputError
from testbed.topology.load import loads_topology, substitute
from testbed.topology.spec import TopologySpec

LAB = loads_topology(
    "nodes: {client: , server: {}}\n"
    "links:\n"
    "  wifi: {between: [client, server], netem: rate 20mbit delay 10ms}\n"
    "  lte: {between: [client, server], toward: {client: delay 5ms}}\n"
)


def changed(path: str, value: document.Data) -> TopologySpec:
    raw = substitute(LAB.raw, path, value)
    return document.convert(raw, TopologySpec, LAB.positions, LAB.name).value


@pytest.mark.parametrize("path", ["links.wifi.delay", "links.wifi.netem.delay"])
def test_one_netem_option(path: str) -> None:
    wifi = changed(path, "40ms").links["wifi"]
    assert wifi.netem == {"rate": "20mbit", "delay": "40ms"}
    assert LAB.value.links["wifi"].netem == "rate 20mbit delay 10ms", "the original is kept"


def test_what_is_not_there_yet_is_added() -> None:
    assert changed("links.lte.loss", "1%").links["lte"].netem == {"loss": "1%"}
    assert changed("links.lte.mtu", 9000).links["lte"].mtu == 9000
    client = changed('nodes.client.sysctls."net.ipv4.tcp_rmem"', "1 2 3").nodes["client"]
    assert client is not None
    assert client.sysctls == {"net.ipv4.tcp_rmem": "1 2 3"}


def test_one_direction() -> None:
    toward = changed("links.lte.toward.client.rate", "9mbit").links["lte"].toward
    assert toward == {"client": {"delay": "5ms", "rate": "9mbit"}}


def test_an_entry_of_a_list() -> None:
    assert changed("links.wifi.between[1]", "client").links["wifi"].between == ["client", "client"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "the path is empty"),
        ("links.wfi.delay", "there is no 'wfi' in links; did you mean 'wifi'?"),
        ("lnks.wifi.delay", "there is no 'lnks' in the topology; did you mean 'links'?"),
        ("links.wifi.dely", "there is no 'dely' in links.wifi; did you mean 'delay'?"),
        ("links.wifi.netem.dely", "there is no 'dely' in links.wifi.netem; did you mean 'delay'?"),
        ("nodes.clint.kind", "there is no 'clint' in nodes; did you mean 'client'?"),
        ("links.wifi.between[2]", "there is no entry 2 in links.wifi.between"),
        ("links.wifi.between.x", "there is no 'x' in links.wifi.between; this is a plain value"),
        ("links..wifi", "'links..wifi' is not a path"),
    ],
)
def test_a_path_that_leads_nowhere(path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        substitute(LAB.raw, path, "1ms")
    assert message in str(caught.value)


def test_a_wrong_value_is_found_when_it_is_checked() -> None:
    with pytest.raises(InputError, match=r"^topology\.yaml:4: links\.lte\.mtu: expected a whole"):
        changed("links.lte.mtu", "much")
