"""Plans: the golden one, what is late and what is early in them, and how two are compared."""

from __future__ import annotations

from pathlib import Path

import msgspec

from testbed.topology.diff import diff
from testbed.topology.load import load_topology, loads_topology
from testbed.topology.operations import AddVeth, AddWire, Plan
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

HERE = Path(__file__).parent
TWO_PATHS = HERE.parents[2] / "topologies" / "two_paths.yaml"


def of(text: str, **options: object) -> Plan:
    return plan(resolve(loads_topology(text, "lab.yaml")), **options)  # type: ignore[arg-type]


def test_the_plan_of_two_paths() -> None:
    """To accept a change: ``testbed plan topologies/two_paths.yaml > .../two_paths.plan``."""
    lines = [str(operation) for operation in plan(resolve(load_topology(TWO_PATHS))).operations]
    assert lines == (HERE / "two_paths.plan").read_text().splitlines()


def test_a_plan_survives_json() -> None:
    topologies = sorted(TWO_PATHS.parent.glob("*.yaml"))
    assert topologies
    for path in topologies:
        engine = "netem" if path.stem == "vlans" else "emulator"
        made = plan(resolve(load_topology(path)), engine=engine, seed=3)
        assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made


def test_an_unshaped_link_is_one_veth_pair() -> None:
    made = of("nodes: {a: {}, s: {kind: switch}}\nlinks: {x: {between: [a, s], offload: true}}")
    assert [str(op) for op in made.operations if isinstance(op, AddVeth)] == [
        (
            "ip link add name x netns a address 02:00:00:00:00:00 mtu 1500 offload on type veth"
            " peer name p0b netns @wire address 02:00:00:00:00:01 mtu 1500 master s offload on"
        )
    ]
    assert not any(isinstance(op, AddWire) for op in made.operations)


def test_a_shaped_link_to_a_switch_has_a_wire_before_the_port() -> None:
    made = of("nodes: {a: {}, s: {kind: switch}}\nlinks: {x: {between: [a, s], netem: {}}}")
    assert [str(op) for op in made.operations if isinstance(op, AddVeth)] == [
        (
            "ip link add name x netns a address 02:00:00:00:00:00 mtu 1500 type veth"
            " peer name w0a netns @wire address 02:01:00:00:00:00 mtu 1500"
        ),
        (
            "ip link add name p0b netns @wire address 02:00:00:00:00:01 mtu 1500 master s type veth"
            " peer name w0b netns @wire address 02:01:00:00:00:01 mtu 1500"
        ),
    ]
    wire = made.operations[-1]
    assert isinstance(wire, AddWire)
    assert (wire.link, wire.a, wire.b) == ("x", "w0a", "w0b")


def test_a_sysctl_of_an_interface_waits_for_it() -> None:
    lines = [
        str(operation)
        for operation in of(
            "nodes: {a: {sysctls: {net.ipv4.conf.x.accept_local: 1}}, b: {}}\n"
            "links: {x: {between: [a, b]}}"
        ).operations
    ]
    late = lines.index("ip netns exec a sysctl -w 'net.ipv4.conf.x.accept_local=1'")
    early = lines.index("ip netns exec a sysctl -w 'net.ipv4.ip_forward=0'")
    veth = next(i for i, line in enumerate(lines) if line.startswith("ip link add name x "))
    assert early < veth < late


def test_wires_have_seeds_of_their_own() -> None:
    text = "nodes: {a: {}, b: {}}\nlinks:\n  x: {between: [a, b], netem: {}}\n"
    both = text + "  y: {between: [a, b], netem: {}}\n"

    def seeds(of_text: str, seed: int) -> dict[str, int]:
        made = of(of_text, seed=seed).operations
        return {op.link: op.seed for op in made if isinstance(op, AddWire)}

    assert seeds(both, 1)["x"] != seeds(both, 1)["y"]
    assert seeds(both, 1)["x"] != seeds(both, 2)["x"]
    assert seeds(both, 1)["x"] == seeds(text, 1)["x"]


def test_a_star_costs_the_same_per_host() -> None:
    def size(count: int) -> int:
        return len(of(f"generate: {{star: {{count: {count}}}}}").operations)

    assert size(201) - size(200) == size(11) - size(10) == 7


def test_difference_of_two_plans() -> None:
    text = "nodes: {a: {}, b: {}}\nlinks: {x: {between: [a, b], netem: {delay: 5ms}}}"
    old, new = of(text), of(text.replace("5ms", "6ms"))
    difference = diff(old, new)
    assert [str(op).split(" mtu")[0] for op in difference.removed] == [
        "wire add x w0a w0b toward w0b delay 5ms toward w0a delay 5ms"
    ]
    assert [type(op) for op in difference.added] == [AddWire]
    assert diff(old, old).removed == diff(old, old).added == ()
