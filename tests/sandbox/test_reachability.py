"""The routes of the planner, compared with those of the kernel.

Random networks are built in a sandbox.  From every address to every other one a datagram is sent,
and the kernel is asked for its routes.  ``TESTBED_REACHABILITY=500`` tries so many networks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.errors import InputError, OperationError
from testbed.sandbox import Sandbox
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.load import loads_topology
from testbed.topology.model import Kind, Route, Topology
from testbed.topology.operations import AddRoute
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from tests.sandbox.asking import Answers, Hop, Packet, Questions

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]
FIXED = [*range(6), 241, 251, 264, 340, 359]  # those above showed faults
MORE = os.environ.get("TESTBED_REACHABILITY")
SEEDS = FIXED if MORE is None else range(int(MORE))

Data = dict[str, Any]


def network(rng: random.Random) -> Data:
    """Return a connected network without routes of its own."""
    kinds = [
        "host",
        "host",
        *rng.choices(["host", "router", "router", "switch"], k=rng.randint(0, 5)),
    ]
    rng.shuffle(kinds)
    names = [f"{kind[0]}{index}" for index, kind in enumerate(kinds)]
    pairs = [(rng.randrange(index), index) for index in range(1, len(kinds))]
    extra = [rng.sample(range(len(kinds)), 2) for _ in range(rng.randint(0, 4))]
    pairs += [(a, b) for a, b in extra if {kinds[a], kinds[b]} != {"switch"}]
    links = {}
    for index, (a, b) in enumerate(pairs):
        ends: Data = {names[a]: {}, names[b]: {}}
        for end, kind in ((names[a], kinds[a]), (names[b], kinds[b])):
            if kind != "switch" and "switch" not in (kinds[a], kinds[b]):
                ends[end] = addresses(rng, index, int(end == names[b]))
        links[f"l{index}"] = {"between": ends}
    nodes: Data = {}
    for name, kind in zip(names, kinds, strict=True):
        nodes[name] = {"kind": kind}
        if kind == "host" and rng.random() < 0.3:
            nodes[name]["policy_routing"] = False
        if kind != "switch" and rng.random() < 0.15:
            nodes[name]["sysctls"] = {"net.ipv4.ip_forward": int(kind == "host")}
    families = rng.choice([{}, {}, {"ipv6": None}, {"ipv4": None}])
    return {"addressing": families, "nodes": nodes, "links": links}


def addresses(rng: random.Random, index: int, side: int) -> Data:
    """Return what one end of a link has: on every third one more than automatic addresses."""
    own = ["ipv4", "ipv6"]
    if index % 3 == 0:
        own += [f"172.16.{index}.{1 + side}/24", f"fd99:{index}::{1 + side}/64"]
        more = (f"172.31.{2 * index + side}.1/32", f"fd98:{2 * index + side}::1/128")
        own += [text for text in more if rng.random() < 0.4]
    return {"addresses": own}


class Author:
    """Writes routes for a node, as someone might; some of them are senseless."""

    def __init__(self, rng: random.Random, topology: Topology, node: str) -> None:
        self.rng = rng
        ends = [end for each in topology.nodes for end in each.interfaces]
        self.own = [end.name for end in ends if end.node == node]
        links = {end.link for end in ends if end.node == node}
        self.everywhere = [address for end in ends for address in end.addresses]
        self.near = [
            address
            for end in ends
            for address in end.addresses
            if end.link in links and (end.node != node or rng.random() < 0.1)
        ]

    def routes(self) -> list[Data]:
        """Return a few."""
        count = self.rng.choice([0, 0, 1, 1, 2, 3]) if self.everywhere else 0
        routes = [route for _ in range(count) for route in self.some()]
        return list({(route["to"], route.get("table")): route for route in routes}.values())

    def some(self) -> list[Data]:
        """Return one, or two of which the second needs the first."""
        target = ipaddress.ip_interface(self.rng.choice(self.everywhere))
        alone = f"{target.ip}/{target.max_prefixlen}"
        anywhere = "0.0.0.0/0" if target.version == 4 else "::/0"
        wide = "10.0.0.0/8" if target.version == 4 else "fd00::/16"
        to = self.rng.choice([str(target.network), alone, alone, anywhere, wide])
        kind = self.rng.random()
        if kind < 0.1:
            return [{"to": to, "kind": "unreachable"}]
        if kind < 0.3:
            behind = ipaddress.ip_interface(self.gateway(self.everywhere, target.version)).network
            return [
                {"to": to, "interface": self.rng.choice(self.own)},
                {"to": str(behind), "via": str(target.ip)},
            ][: self.rng.choice([1, 2])]
        gateways = self.near if kind < 0.9 else self.everywhere
        if not any((":" in it) == (target.version == 6) for it in gateways):
            return []
        route: Data = {"to": to, "via": host(self.gateway(gateways, target.version))}
        if self.rng.random() < 0.2:
            route["interface"] = self.rng.choice(self.own)
        if self.rng.random() < 0.2:
            route["table"] = self.rng.choice([1001, 1002, 77])
        return [route]

    def gateway(self, addresses: list[str], version: int) -> str:
        """Return one of some addresses, of one family."""
        fitting = [it for it in addresses if (":" in it) == (version == 6)]
        return self.rng.choice(fitting)


def packets(topology: Topology) -> list[Packet]:
    """Return one packet for every address and every other node's, and bound ones."""
    found = []
    ends = [i for n in topology.nodes for i in n.interfaces if n.kind is not Kind.SWITCH]
    for a in ends:
        for b in ends:
            for source in map(host, a.addresses):
                for destination in map(host, b.addresses):
                    if a.node != b.node and (":" in source) == (":" in destination):
                        found.append(Packet(a.node, source, destination))
                        found.append(Packet(a.node, source, destination, a.name))
    return found


async def ask(sandbox: Sandbox, topology: Topology, wanted: list[tuple[Packet, bool]]) -> Answers:
    nodes = [node.name for node in topology.nodes if node.kind is not Kind.SWITCH]
    entrances = {name: await sandbox.entrance(name) for name in nodes}
    numbers = {name: 20 + index for index, name in enumerate(nodes)}
    with tempfile.TemporaryFile() as questions, tempfile.TemporaryFile() as answers:
        questions.write(msgspec.json.encode(Questions(namespaces=numbers, packets=tuple(wanted))))
        questions.seek(0)
        try:
            asking = await sandbox.spawn(
                nodes[0],
                [sys.executable, "-m", "tests.sandbox.asking"],
                cwd=str(ROOT),
                stdin=questions.fileno(),
                stdout=answers.fileno(),
                stderr=2,
                pass_fds={numbers[name]: entrance.network for name, entrance in entrances.items()},
            )
        finally:
            for entrance in entrances.values():
                entrance.close()
        assert (await asking.wait(100)).returncode == 0
        answers.seek(0)
        return msgspec.json.decode(answers.read(), type=Answers)


async def differences(data: Data) -> list[str]:
    """Return in what the kernel does not do what is expected of it."""
    topology, refused = accepted(data)
    forwarding = Forwarding(topology)
    found = []
    async with await Sandbox.create() as sandbox:
        try:
            await sandbox.execute(plan(topology))
        except OperationError as error:
            return [f"refused by the kernel: {error}"]
        asked = packets(topology)
        expected = [
            forwarding.reaches(p.node, p.destination, p.source, p.interface or None) for p in asked
        ]
        answers = await ask(sandbox, topology, list(zip(asked, expected, strict=True)))
    found += [str(each) for each in refused if await each.is_right()]
    for packet, wanted, arrived, hop, source in zip(
        asked, expected, answers.arrived, answers.hops, answers.sources, strict=True
    ):
        if bool(arrived) is not wanted:
            found.append(f"{packet}: expected {wanted}, arrived at {arrived!r}")
        if packet.interface:
            continue
        theirs = forwarding.hop(packet.node, packet.destination, packet.source)
        ours = Hop() if theirs is None else Hop(theirs.interface.name, theirs.gateway)
        if ours != hop:
            found.append(f"{packet}: expected by {ours}, goes by {hop}")
        mine = forwarding.source(packet.node, packet.destination) or ""
        if mine != source:
            found.append(
                f"{packet.node} to {packet.destination}: expected from {mine!r}, is {source!r}"
            )
    return list(dict.fromkeys(found))


class Refused(msgspec.Struct):
    """A route that we do not take, and the topology with those before it."""

    before: Topology
    node: str
    route: Route
    why: str

    def __str__(self) -> str:
        return f"{self.node}: {self.route} is refused, and right for the kernel: {self.why}"

    async def is_right(self) -> bool:
        """Ask the kernel."""
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(self.before))
            try:
                await sandbox.execute([AddRoute(namespace=self.node, route=self.route)])
            except OperationError:
                return False
            return True


def accepted(data: Data) -> tuple[Topology, list[Refused]]:
    """Return the topology with those manual routes that we take, and those that we do not."""
    refused = []
    taken: Data = {}
    for name, node in data["nodes"].items():
        taken[name] = {**node, "routes": []}
    plain = {**data, "nodes": taken}
    for name, node in data["nodes"].items():
        for route in node.get("routes", ()):
            taken[name]["routes"].append(route)
            try:
                load(plain)
            except InputError as error:
                taken[name]["routes"].pop()
                to = route["to"]
                if to == "default":
                    to = "::/0" if ":" in route.get("via", "") else "0.0.0.0/0"
                written = {key: value for key, value in route.items() if key != "to"}
                unwanted = Route(destination=to, **written)
                refused.append(Refused(load(plain), name, unwanted, str(error)))
    return load(plain), refused


def load(data: Data) -> Topology:
    return resolve(loads_topology(msgspec.json.encode(data).decode(), "random.yaml"))


def drawn(seed: int) -> Data:
    rng = random.Random(seed)
    data = network(rng)
    topology = load(data)
    for name, node in data["nodes"].items():
        if node["kind"] != "switch" and topology.node(name).interfaces:
            node["routes"] = Author(rng, topology, name).routes()
    return data


@pytest.mark.parametrize("seed", SEEDS)
def test_packets_go_where_they_are_expected(seed: int) -> None:
    data = drawn(seed)
    assert asyncio.run(differences(data)) == []
