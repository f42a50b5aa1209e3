"""From events to operations, blackholes and their end above all."""

from __future__ import annotations

import pytest

from testbed import document
from testbed.errors import InputError
from testbed.experiment.events import timeline
from testbed.experiment.spec import ExperimentSpec
from testbed.topology import changes
from testbed.topology.load import loads_topology
from testbed.topology.model import EndpointFlag
from testbed.topology.operations import (
    AddEndpoint,
    ChangeEndpoint,
    RemoveAddress,
    RemoveEndpoint,
    SetWire,
)
from testbed.topology.resolve import resolve

TOPOLOGY = resolve(
    loads_topology("""
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: {rate: 20mbit, loss: 1%}, toward: {server: {loss: 2%}}}
  lte: {between: [client, server], netem: {rate: 30mbit}}
""")
)


def actions(*events):
    text = f"""
topology: unused.yaml
workload: {{kind: bulk, from: client, to: server, size: 1MB}}
events: [{", ".join(events)}]
"""
    return timeline(document.loads(text, ExperimentSpec, "try.yaml"), TOPOLOGY)


def losses(action):
    return {op.toward: op.options["loss"] for op in action.operations if isinstance(op, SetWire)}


def test_actions_come_in_the_order_of_their_times():
    found = actions(
        "{at: 2s, link: wifi, state: down}",
        "{at: 500ms, link: lte, set: {delay: 5ms}}",
        "{at: 2s, link: lte, state: down}",
    )
    assert [action.at_ns for action in found] == [500_000_000, 2_000_000_000, 2_000_000_000]
    assert [action.text for action in found] == [
        "link lte: set delay 5ms",
        "link wifi: down",
        "link lte: down",
    ]


def test_one_direction_can_be_changed():
    (action,) = actions("{at: 0, link: wifi, toward: client, set: {loss: 100%}}")
    assert action.operations == changes.shape(TOPOLOGY, "wifi", "client", {"loss": "100%"})
    assert len(action.operations) == 1


def test_the_end_of_a_blackhole_restores_each_directions_own_loss():
    hole, end = actions("{at: 1s, link: wifi, state: blackhole}", "{at: 2s, link: wifi, state: up}")
    assert losses(hole) == {"a": "100%", "b": "100%"}
    assert losses(end) == {"a": "1%", "b": "2%"}


def test_it_restores_what_an_event_had_set_before():
    *_, end = actions(
        "{at: 1s, link: wifi, toward: server, set: {loss: 7%}}",
        "{at: 2s, link: wifi, state: blackhole}",
        "{at: 3s, link: wifi, state: up}",
    )
    assert losses(end) == {"a": "1%", "b": "7%"}


def test_a_link_without_loss_has_none_again():
    *_, end = actions("{at: 1s, link: lte, state: blackhole}", "{at: 2s, link: lte, state: up}")
    assert losses(end) == {"a": "none", "b": "none"}


def test_up_without_a_blackhole_leaves_the_shaping_alone():
    *_, up = actions("{at: 1s, link: wifi, state: down}", "{at: 2s, link: wifi, state: up}")
    assert up.operations == changes.link_up(TOPOLOGY, "wifi")


def test_the_loss_of_a_blackhole_cannot_be_changed():
    with pytest.raises(InputError, match=r"try.yaml:4: events\[1\]: .*is a blackhole"):
        actions("{at: 1s, link: wifi, state: blackhole}", "{at: 2s, link: wifi, set: {loss: 1%}}")


def test_endpoints_and_addresses():
    address = TOPOLOGY.node("client").interface("lte").addresses[0]
    _, add, remove, gone = actions(
        "{at: 500ms, node: client, remove_endpoint: {interface: lte}}",
        "{at: 1s, node: client, add_endpoint: {interface: lte, flags: [subflow, backup]}}",
        "{at: 2s, node: client, remove_endpoint: {interface: lte}}",
        f"{{at: 3s, node: client, remove_address: {{interface: lte, address: {address}}}}}",
    )
    (endpoint,) = add.operations
    assert isinstance(endpoint, AddEndpoint)
    assert endpoint.endpoint.flags == (EndpointFlag.SUBFLOW, EndpointFlag.BACKUP)
    assert remove.operations == (RemoveEndpoint(namespace="client", id=endpoint.endpoint.id),)
    assert gone.operations == (RemoveAddress(namespace="client", interface="lte", address=address),)


def test_a_program_runs_on_its_node():
    (action,) = actions("{at: 1s, node: client, run: [ip, link]}")
    assert (action.node, action.argv, action.operations) == ("client", ("ip", "link"), ())


def test_flags_of_an_endpoint_change_and_the_others_stay():
    first, second = actions(
        "{at: 1s, node: client, set_endpoint: {interface: lte, backup: true}}",
        "{at: 2s, node: client, set_endpoint: {interface: lte, fullmesh: true}}",
    )
    assert [str(operation) for operation in (*first.operations, *second.operations)] == [
        "ip -n client mptcp endpoint change id 2 backup",
        "ip -n client mptcp endpoint change id 2 backup fullmesh",
    ]
    assert first.text == "node client: set endpoint lte backup"
    (change,) = second.operations
    assert isinstance(change, ChangeEndpoint)
    assert EndpointFlag.SUBFLOW in change.endpoint.flags


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("set_endpoint: {interface: lte}", "no flag is given; write backup: true"),
        (
            "add_endpoint: {interface: lte, flags: [subflow]}",
            "10.0.2.1 at 'client' is an endpoint at that time; its id is 2",
        ),
        ("set_endpoint: {interface: lt, backup: true}", "'lt' is not an interface of 'client'"),
    ],
)
def test_endpoints_that_cannot_change_so(event, message):
    with pytest.raises(InputError, match=r"try\.yaml:4: events") as caught:
        actions(f"{{at: 1s, node: client, {event}}}")
    assert message in str(caught.value)
