"""Links that are shaped at the interfaces of their ends."""

from __future__ import annotations

import contextlib

import pytest

from testbed.errors import InputError
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.topology.operations import AddVeth, AddWire, Sender
from testbed.topology.plan import plan
from tests.topologies import TWO, error_of, load

SENDER = TWO.replace("server]}", "server], netem: {rate: 20mbit}, shaper: sender}")
SWITCHED = """\
nodes: {client: {}, lan: {kind: switch}, server: {}}
links:
  wifi: {between: [client, lan], netem: {delay: 5ms}, shaper: sender}
  port: {between: [lan, server]}
"""


def test_the_kernel_shapes_at_the_interfaces_that_send() -> None:
    operations = plan(load(SENDER)).operations
    (wire,) = (it for it in operations if isinstance(it, AddWire))
    assert wire.engine == "netem"
    assert wire.senders == (  # toward a, the client, and toward b
        Sender(namespace="server", interface="wifi"),
        Sender(namespace="client", interface="wifi"),
    )
    assert str(wire).endswith(" shaper sender")
    # The link can be taken down like others.
    assert sum(isinstance(it, AddVeth) for it in operations) == 2


def test_a_switch_s_port_is_in_the_namespace_of_wires() -> None:
    (wire,) = (it for it in plan(load(SWITCHED)).operations if isinstance(it, AddWire))
    assert wire.senders is not None
    assert wire.senders[1] == Sender(namespace="client", interface="wifi")
    assert wire.senders[0].namespace == "@wire"


def test_the_middle_is_the_default() -> None:
    for text in (SENDER.replace(", shaper: sender", ""), SENDER.replace("sender", "middle")):
        (wire,) = (it for it in plan(load(text)).operations if isinstance(it, AddWire))
        assert (wire.senders, wire.engine) == (None, "auto")
    assert "links.wifi.shaper" in error_of(SENDER.replace("sender", "receiver"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("netem: {rate: 20mbit}, ", "", "the link has no wire to shape; add 'netem: {}' to it"),
        (
            "shaper",
            "duplex: half, shaper",
            "a link with a shared medium can be shaped only in the middle",
        ),
        (
            "shaper",
            "middlebox: rewrite_sequence, shaper",
            "a link with middleboxes can be shaped only in the middle",
        ),
    ],
)
def test_what_it_does_not_go_with(old: str, new: str, message: str) -> None:
    topology = load(SENDER.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        plan(topology)
    assert caught.value.path == "links.wifi.shaper"


def test_the_emulator_and_simulations_refuse_it() -> None:
    topology = load(SENDER)
    with pytest.raises(InputError, match="the emulator shapes only in the middle") as caught:
        plan(topology, engine="emulator")
    assert caught.value.path == "links.wifi.shaper"
    loop = VirtualLoop()
    with (
        contextlib.closing(loop),
        pytest.raises(InputError, match="no shaper at the sender") as caught,
    ):
        Network(topology, lambda *_, **__: None, loop=loop)  # type: ignore[arg-type]
    assert caught.value.path == "links.wifi.shaper"


def test_hosts_of_a_star_may_have_such_links() -> None:
    text = "generate: {star: {count: 2, netem: rate 10mbit, shaper: sender}}"
    assert all(link.at_sender for link in load(text).links)
