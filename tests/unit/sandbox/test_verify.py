"""From operations to their expected facts, and the comparison with observed facts."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import OperationError
from testbed.sandbox import verify
from testbed.sandbox.observation import Address, LinkState, NamespaceState
from testbed.topology.model import Endpoint, EndpointFlag, Limits, Route
from testbed.topology.operations import (
    AddAddress,
    AddEndpoint,
    AddNamespace,
    AddRoute,
    AddVeth,
    AnyOperation,
    RemoveAddress,
    SetLimits,
    SetLink,
    SetSysctl,
    VethEnd,
)

LOOPBACK = LinkState(
    index=1,
    name="lo",
    kind=None,
    up=True,
    carrier=True,
    mtu=65536,
    mac="00:00:00:00:00:00",
    master=None,
    offload=True,
)


def check(state: NamespaceState, *operations: AnyOperation) -> None:
    """Compare what operations on one namespace want with its state."""
    wanted = verify.expectations(operations)
    verify.compare(wanted[state.name], verify.facts(state))


def test_what_is_wanted_and_seen_is_accepted() -> None:
    state = NamespaceState(
        name="n",
        links=(LOOPBACK,),
        addresses=(Address(interface="lo", address="fd00::1/64"),),
        routes=(Route(destination="10.0.0.0/8", via="10.0.0.1", interface="lo"),),
        limits=Limits(subflows=1, add_addr_accepted=2),
        sysctls={"net.a": "1 2"},
    )
    check(
        state,
        AddNamespace(namespace="n"),
        AddAddress(namespace="n", interface="lo", address="fd00:0::1/64"),
        AddRoute(namespace="n", route=Route(destination="10.0.0.0/8", via="10.0.0.1")),
        SetLimits(namespace="n", limits=Limits(subflows=1, add_addr_accepted=2)),
        SetSysctl(namespace="n", key="net.a", value="1\t2"),
    )


ENDPOINT = AddEndpoint(
    namespace="n",
    endpoint=Endpoint(
        address="10.0.0.1", id=1, interface="lo", flags=(EndpointFlag.BACKUP, EndpointFlag.SUBFLOW)
    ),
)


def test_order_of_flags_is_no_difference() -> None:
    seen = Endpoint(
        address="10.0.0.1",
        id=1,
        interface="lo",
        flags=(EndpointFlag.SUBFLOW, EndpointFlag.BACKUP),
    )
    check(NamespaceState(name="n", endpoints=(seen,)), ENDPOINT)


@pytest.mark.parametrize(
    ("state", "operation", "wanted", "seen"),
    [
        (
            NamespaceState(name="n"),
            AddAddress(namespace="n", interface="lo", address="10.0.0.1/8"),
            "10.0.0.1/8",
            "none",
        ),
        (
            NamespaceState(
                name="n",
                addresses=(Address(interface="lo", address="fd00::1/64", usable=False),),
            ),
            AddAddress(namespace="n", interface="lo", address="fd00::1/64"),
            "usable True",
            "usable False",
        ),
        (
            NamespaceState(name="n", addresses=(Address(interface="lo", address="10.0.0.1/8"),)),
            RemoveAddress(namespace="n", interface="lo", address="10.0.0.1/8"),
            "none",
            "10.0.0.1/8",
        ),
        (
            NamespaceState(name="n", routes=(Route(destination="10.0.0.0/8", via="10.0.0.9"),)),
            AddRoute(namespace="n", route=Route(destination="10.0.0.0/8", via="10.0.0.1")),
            "10.0.0.1",
            "10.0.0.9",
        ),
        (
            NamespaceState(name="n", limits=Limits(subflows=0, add_addr_accepted=0)),
            SetLimits(namespace="n", limits=Limits(subflows=1, add_addr_accepted=0)),
            "subflows 1",
            "subflows 0",
        ),
        (
            NamespaceState(name="n", sysctls={"net.a": "0"}),
            SetSysctl(namespace="n", key="net.a", value="1"),
            "net.a = 1",
            "net.a = 0",
        ),
        (NamespaceState(name="n"), ENDPOINT, "10.0.0.1", "none"),
        (
            NamespaceState(name="n", links=(LOOPBACK,)),
            SetLink(namespace="n", interface="lo", up=False),
            "up = False",
            "up = True",
        ),
    ],
)
def test_difference_is_an_error_with_both_sides(
    state: NamespaceState, operation: AnyOperation, wanted: str, seen: str
) -> None:
    with pytest.raises(OperationError) as caught:
        check(state, operation)
    assert caught.value.operation == str(operation)
    assert wanted in caught.value.wanted
    assert seen in caught.value.seen


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("up", False),
        ("carrier", False),
        ("mtu", 1400),
        ("mac", "02:00:00:00:00:99"),
        ("master", "other"),
        ("offload", True),
        ("kind", "dummy"),
    ],
)
def test_every_property_of_a_veth_end_is_compared(field: str, value: object) -> None:
    end = VethEnd(namespace="n", interface="v", mac="02:00:00:00:00:01", mtu=1500)
    other = VethEnd(namespace="m", interface="v", mac="02:00:00:00:00:02", mtu=1500)
    fields = {
        "index": 2,
        "name": "v",
        "kind": "veth",
        "up": True,
        "carrier": True,
        "mtu": 1500,
        "mac": "02:00:00:00:00:01",
        "master": None,
        "offload": False,
    }
    good = NamespaceState(name="n", links=(LinkState(**fields),))  # type: ignore[arg-type]
    check(good, AddVeth(a=end, b=other))
    bad = NamespaceState(name="n", links=(LinkState(**{**fields, field: value}),))  # type: ignore[arg-type]
    with pytest.raises(OperationError, match=field):
        check(bad, AddVeth(a=end, b=other))


def test_only_the_last_word_about_something_counts() -> None:
    address = {"namespace": "n", "interface": "lo", "address": "10.0.0.1/8"}
    check(NamespaceState(name="n"), AddAddress(**address), RemoveAddress(**address))
    check(
        NamespaceState(name="n", sysctls={"a.b": "2"}),
        SetSysctl(namespace="n", key="a.b", value="1"),
        SetSysctl(namespace="n", key="a.b", value="2"),
    )


def test_only_a_carrier_is_worth_waiting_for() -> None:
    """The kernel turns it on and off in a work queue; other differences are permanent."""
    end = VethEnd(namespace="n", interface="eth0", mac="02:00:00:00:00:01", mtu=1500)
    there = LinkState(
        index=2,
        name="eth0",
        kind="veth",
        up=True,
        carrier=False,
        mtu=1500,
        mac=end.mac,
        master=None,
        offload=False,
    )
    wanted = verify.expectations([AddVeth(a=end, b=end)])["n"]

    def settled(*links: LinkState) -> bool:
        return verify.settled(wanted, verify.facts(NamespaceState(name="n", links=links)))

    assert not settled(there)
    assert settled(msgspec.structs.replace(there, carrier=True, mtu=9000))
    assert settled()
