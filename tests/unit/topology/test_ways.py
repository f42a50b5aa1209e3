"""Which links packets cross, and how fast they may."""

from __future__ import annotations

from testbed.topology.forwarding import Forwarding
from testbed.topology.load import loads_topology
from testbed.topology.resolve import resolve
from testbed.topology.ways import Way, ways_of


def network(text):
    return resolve(loads_topology(text))


TWO_PATHS = network("""
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: rate 20mbit, toward: {client: rate 5mbit}}
  lte: {between: [client, server], netem: delay 5ms}
""")
THROUGH = network("""
nodes: {client: {}, left: {kind: switch}, router: {kind: router}, right: {kind: switch}, server: {}}
links:
  access: {between: [client, left], netem: rate 50mbit}
  trunk: {between: [left, router], netem: rate 10mbit}
  core: {between: [router, right], netem: rate 30mbit}
  last: {between: [server, right]}
""")


def test_one_link_has_a_rate_in_each_direction():
    assert ways_of(
        TWO_PATHS, [("10.0.1.1", "10.0.1.2"), ("10.0.2.1", "10.0.2.2")], Forwarding(TWO_PATHS)
    ) == (
        Way(
            source="10.0.1.1",
            destination="10.0.1.2",
            link="wifi",
            links=("wifi",),
            forward=20_000_000,
            reverse=5_000_000,
        ),
        Way(
            source="10.0.2.1",
            destination="10.0.2.2",
            link="lte",
            links=("lte",),
            forward=None,
            reverse=None,
        ),
    )


def test_the_least_rate_counts_through_switches_and_routers():
    client, server = (
        THROUGH.node(name).interfaces[0].addresses[0].partition("/")[0]
        for name in ("client", "server")
    )
    (way,) = ways_of(THROUGH, [(client, server)], Forwarding(THROUGH))
    assert way.links == ("access", "trunk", "core", "last")
    assert (way.forward, way.reverse) == (10_000_000, 10_000_000)


def test_what_is_not_reached_has_no_way():
    assert ways_of(TWO_PATHS, [("10.0.1.1", "10.9.9.9")], Forwarding(TWO_PATHS)) == ()
