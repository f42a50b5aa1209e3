"""Links whose directions share one medium."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.topology.changes import shape
from testbed.topology.operations import AddWire
from testbed.topology.plan import plan
from tests.topologies import TWO, error_of, load

HALF = TWO.replace("server]}", "server], netem: {rate: 20mbit}, duplex: half}")


def test_its_wire_is_the_emulator_s() -> None:
    """No qdisc of the kernel looks at both directions of a wire."""
    topology = load(HALF)
    (wire,) = (it for it in plan(topology).operations if isinstance(it, AddWire))
    assert (topology.link("wifi").half_duplex, wire.half_duplex, wire.engine) == (
        True,
        True,
        "emulator",
    )
    assert str(wire).endswith(" duplex half")
    with pytest.raises(InputError, match="netem has no shared medium"):
        plan(topology, engine="netem")


def test_both_directions_need_a_rate() -> None:
    text = HALF.replace(
        "netem: {rate: 20mbit}", "netem: {delay: 5ms}, toward: {client: rate 1mbit}"
    )
    assert error_of(text) == (
        "lab.yaml:3: links.wifi.duplex: a shared medium needs a rate in each direction; "
        "toward 'server' there is none"
    )


def test_a_burst_is_refused() -> None:
    """Turns decide which direction sends next, so a direction cannot save up for a burst."""
    text = HALF.replace("netem: {rate: 20mbit}", "netem: rate 20mbit burst 32kb queue fifo")
    assert error_of(text) == (
        "lab.yaml:3: links.wifi.duplex: rate: a shared medium has no burst; leave 'burst' out"
    )


@pytest.mark.parametrize(
    ("rate", "message"),
    [("none", "needs a rate in each direction"), ("5mbit burst 32kb", "has no burst")],
)
def test_its_rate_changes_but_does_not_go(rate: str, message: str) -> None:
    topology = load(HALF)
    for toward in (None, "client"):
        with pytest.raises(InputError, match=message):
            shape(topology, "wifi", toward, {"rate": rate})
        assert shape(topology, "wifi", toward, {"rate": "5mbit"})
    assert shape(load(TWO.replace("server]}", "server], netem: {}}")), "wifi", None, {"rate": rate})


def test_full_is_the_default_and_other_words_are_refused() -> None:
    assert not load(HALF.replace(", duplex: half", "")).link("wifi").half_duplex
    assert not load(HALF.replace("half", "full")).link("wifi").half_duplex
    assert "links.wifi.duplex" in error_of(HALF.replace("half", "simplex"))


def test_hosts_of_a_star_may_have_such_links() -> None:
    text = "generate: {star: {count: 2, netem: rate 10mbit, duplex: half}}"
    assert all(link.half_duplex for link in load(text).links)
