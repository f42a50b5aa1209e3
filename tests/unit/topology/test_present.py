"""What changes make of a network, one after the other."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.topology.load import loads_topology
from testbed.topology.present import (
    AnyChange,
    GiveAddress,
    GiveEndpoint,
    Present,
    SetEndpoint,
    SetLinkState,
    SetShaping,
    TakeAddress,
    TakeEndpoint,
)
from testbed.topology.resolve import resolve
from testbed.topology.spec import EndpointSpec

LAB = Present.at_first(
    resolve(
        loads_topology(
            "nodes: {client: {}, r: {kind: router}, server: {}, lan: {kind: switch}}\n"
            "links:\n"
            "  wifi: {between: [client, r], netem: {delay: 5ms, loss: 1%}}\n"
            "  lte: {between: [client, r]}\n"
            "  up: {between: [r, lan]}\n"
            "  down: {between: [lan, server]}\n"
        )
    )
)


def after(*changes: AnyChange) -> tuple[list[str], Present]:
    """Return what the last change does, in words, and the network then."""
    present, lines = LAB, []
    for change in changes:
        operations, present = present.changed(change)
        lines = [str(operation) for operation in operations]
    return lines, present


def test_endpoints_come_and_go_by_interface_address_and_id() -> None:
    for which in ("lte", "10.0.2.1", "2"):
        gone = TakeEndpoint(node="client", which=which)
        assert after(gone)[0] == ["ip -n client mptcp endpoint delete id 2"]
    backup = EndpointSpec(interface="lte", flags=["subflow", "backup"])
    back, present = after(gone, GiveEndpoint(node="client", endpoint=backup))
    assert back == ["ip -n client mptcp endpoint add 10.0.2.1 id 2 subflow backup"]
    assert [each.id for each in present.topology.node("client").endpoints] == [1, 2]
    signal = EndpointSpec(interface="down", flags=["signal"], port=6000, id=9)
    assert after(GiveEndpoint(node="server", endpoint=signal))[0] == [
        "ip -n server mptcp endpoint add 10.0.3.2 port 6000 dev down id 9 signal"
    ]


def test_an_endpoint_goes_with_its_interface_though_its_address_has_gone() -> None:
    gone = TakeAddress(node="client", interface="lte", address="10.0.2.1/24")
    lines, present = after(gone, TakeEndpoint(node="client", which="lte"))
    assert lines == ["ip -n client mptcp endpoint delete id 2"]
    assert [each.id for each in present.topology.node("client").endpoints] == [1]


def test_flags_change_one_by_one() -> None:
    lines, _ = after(
        SetEndpoint(node="client", which="lte", fullmesh=True),
        SetEndpoint(node="client", which="lte", backup=True),
        SetEndpoint(node="client", which="2", fullmesh=False),
    )
    assert lines == ["ip -n client mptcp endpoint change id 2 backup"]


def test_the_end_of_a_blackhole_restores_the_loss_that_was_set_last() -> None:
    hole = SetLinkState(link="wifi", state="blackhole")
    lines, present = after(
        SetShaping(link="wifi", options={"loss": "7%"}, toward="r"),
        hole,
        hole,
        SetLinkState(link="wifi", state="up"),
    )
    assert lines[-2:] == [
        "wire change wifi toward a loss 1%",
        "wire change wifi toward b loss 7%",
    ]
    assert present.states() == {}
    assert after(hole)[1].states() == {"wifi": "blackhole"}


def test_a_renumbered_interface_comes_up_with_the_address_it_has_now() -> None:
    """A link without a wire loses its routes when it goes down."""
    lines, present = after(
        TakeAddress(node="client", interface="lte", address="10.0.2.1/24"),
        GiveAddress(node="client", interface="lte", address="10.0.2.9/24"),
        SetLinkState(link="lte", state="down"),
        SetLinkState(link="lte", state="up"),
    )
    assert "ip -n client route replace 10.0.2.0/24 dev lte src 10.0.2.9 table 1002" in lines
    assert not any("src 10.0.2.1 " in line for line in lines)
    assert "ip -n client address add fd00:0:0:2::1/64 dev lte nodad" in lines
    assert present.topology.node("client").interface("lte").addresses[-1] == "10.0.2.9/24"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [
                SetLinkState(link="wifi", state="blackhole"),
                SetShaping(link="wifi", options={"loss": "1%"}),
            ],
            "link 'wifi' is a blackhole now; first set its state to up",
        ),
        (
            [SetShaping(link="wifi", options={"reorder": "5%", "delay": "none"})],
            "reorder: needs a delay",
        ),
        ([SetLinkState(link="lte", state="blackhole")], "link 'lte' has no wire"),
        (
            [GiveAddress(node="client", interface="wifi", address="10.0.1.1/24")],
            "'wifi' at 'client' has 10.0.1.1/24 now",
        ),
        (
            [TakeAddress(node="client", interface="wifi", address="10.0.1.7/24")],
            "'wifi' at 'client' has no address 10.0.1.7/24 now; its addresses: 10.0.1.1/24",
        ),
        (
            [
                GiveEndpoint(
                    node="client", endpoint=EndpointSpec(interface="wifi", flags=["subflow"])
                )
            ],
            "10.0.1.1 at 'client' is an endpoint now; its id is 1",
        ),
        (
            [
                TakeEndpoint(node="client", which="lte"),
                GiveEndpoint(
                    node="client",
                    endpoint=EndpointSpec(interface="lte", flags=["signal", "fullmesh"]),
                ),
            ],
            "signal and fullmesh exclude each other",
        ),
        (
            [TakeEndpoint(node="client", which="7")],
            "'7' at 'client' has no endpoint now; endpoints: 1 (10.0.1.1), 2 (10.0.2.1)",
        ),
        (
            [TakeEndpoint(node="client", which="wfi")],
            "'wfi' is not an interface of 'client'; did you mean 'wifi'?",
        ),
        ([TakeEndpoint(node="clint", which="wifi")], "'clint' is not a node"),
    ],
)
def test_what_cannot_be_done_is_refused(changes: list[AnyChange], message: str) -> None:
    with pytest.raises(InputError) as caught:
        after(*changes)
    assert message in str(caught.value)
