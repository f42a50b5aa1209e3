"""The writer of Mininet scripts: a Topo, and the commands that configure its hosts."""

from __future__ import annotations

import pprint
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

import msgspec

from testbed.document import join_path
from testbed.errors import InputError
from testbed.interchange.imports import Note
from testbed.topology.carried import devices_of
from testbed.topology.model import Interface, Kind, Link, Topology
from testbed.topology.operations import (
    AddBridge,
    AddNamespace,
    AddVeth,
    AddWire,
    BeginTraces,
    SetWire,
)
from testbed.topology.plan import plan
from testbed.units import format_percent, format_time
from testbed.wire.netem import Netem
from testbed.wire.options import RandomLoss

MTU: Final = 1500  # the MTU of a Mininet interface
_WHOLE: Final = "ethtool -K {} tso off gso off > /dev/null"  # changes go to standard output
_TEMPLATE: Final = '''\
#!/usr/bin/env python3
"""{description}

Written by `testbed export mininet` from {origin}.{notes}
"""

from mininet.cli import CLI
from mininet.link import TCLink
from mininet.log import error, setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo


class {name}(Topo):
    def build(self):
{body}

COMMANDS = {commands}

topos = {{{key!r}: {name}}}


def configure(net):
    """Give the hosts their addresses, routes, sysctls and MPTCP endpoints."""
    for name, commands in COMMANDS.items():
        for command in commands:
            answer = net[name].cmd(command)
            if answer.strip() and not command.startswith("sysctl "):
                error(f"{{name}}: {{command}}: {{answer}}")


def start():
    net = Mininet(topo={name}(), switch=LinuxBridge, link=TCLink, controller=None)
    net.start()
    configure(net)
    return net


if __name__ == "__main__":
    setLogLevel("info")
    network = start()
    CLI(network)
    network.stop()
'''


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A script, with notes on the parts of the topology that it cannot express."""

    text: str
    notes: tuple[Note, ...]


def write(topology: Topology, origin: str) -> Exported:
    """Return the script of a topology.

    :param origin: the file of the topology.
    :raises InputError: the topology has a middlebox, a VLAN, a tunnel or a VRF, which Mininet
        lacks.
    """
    for link in topology.links:
        if link.middlebox:
            raise InputError(
                f"Mininet has no counterpart of the middlebox {link.middlebox[0].kind!r}",
                path=join_path("links", link.name, "middlebox"),
                hint="remove it; the other links can stay",
            )
    for kind, path in (each for node in topology.nodes for each in devices_of(node)):
        raise InputError(f"Mininet has no counterpart of {kind}", path=path)
    notes = list(_notes(topology))
    name = "".join(part.capitalize() for part in re.split(r"\W|_", topology.name) if part)
    said = "".join(f"\n\n{note}" for note in notes)
    text = _TEMPLATE.format(
        description=f"The topology {topology.name}.",
        origin=PurePath(origin).name,
        notes=said,
        name=name if name.isidentifier() else f"T{name}",
        body="\n".join(_body(topology)) + "\n",
        commands=pprint.pformat(_commands(topology), width=99, sort_dicts=False),
        key=topology.name,
    )
    return Exported(text=text, notes=tuple(notes))


def _body(topology: Topology) -> Iterator[str]:
    switches = {node.name for node in topology.nodes if node.kind is Kind.SWITCH}
    for node in topology.nodes:
        is_switch = node.name in switches
        call = f"addSwitch({node.name!r})" if is_switch else f"addHost({node.name!r}, ip=None)"
        yield f"        self.{call}"
    for link in topology.links:
        yield f"        self.addLink({_arguments(link, switches)})"


def _arguments(link: Link, switches: set[str]) -> str:
    words = [repr(link.a.node), repr(link.b.node)]
    for number, end, netem in ((1, link.a, link.toward_b), (2, link.b, link.toward_a)):
        if end.node not in switches:
            words += [f"intfName{number}={end.name!r}", f"addr{number}={end.mac!r}"]
        if link.wire:
            words.append(f"params{number}={_params(netem, end)!r}")
    return ", ".join(words)


def _params(netem: Netem, end: Interface) -> dict[str, float | int | str]:
    """Return TCLink's parameters for packets that leave by an interface."""
    found: dict[str, float | int | str] = {}
    if netem.rate is not None:
        found["bw"] = netem.rate.bits_per_second / 1e6
    if netem.delay is not None:
        found["delay"] = format_time(netem.delay.delay_ns)
        if netem.delay.jitter_ns:
            found["jitter"] = format_time(netem.delay.jitter_ns)
    if isinstance(netem.loss, RandomLoss):
        found["loss"] = float(format_percent(netem.loss.probability).rstrip("%"))
    if netem.trace is None:
        found["max_queue_size"] = netem.limit_packets(end.mtu)
    return found


def _commands(topology: Topology) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for link in topology.links:
        for end in (link.a, link.b):
            if end.mtu != MTU and not _is_switch(topology, end.node):
                text = f"ip link set dev {end.name} mtu {end.mtu}"
                found.setdefault(end.node, []).append(text)
            if not link.offload and not _is_switch(topology, end.node):
                found.setdefault(end.node, []).append(_WHOLE.format(end.name))
    for operation in plan(topology).operations:
        if isinstance(operation, AddNamespace | AddBridge | AddVeth | AddWire):
            continue
        if isinstance(operation, SetWire | BeginTraces):
            continue
        node = operation.namespace
        text = str(operation).replace(f"ip netns exec {node} ", "", 1)
        found.setdefault(node, []).append(text.replace(f"ip -n {node} ", "ip ", 1))
    return found


def _is_switch(topology: Topology, name: str) -> bool:
    return any(node.name == name and node.kind is Kind.SWITCH for node in topology.nodes)


def _notes(topology: Topology) -> Iterator[Note]:
    for link in topology.links:
        for direction, netem in ((link.b.node, link.toward_b), (link.a.node, link.toward_a)):
            for what in _not_said(netem):
                yield Note(
                    f"{link.name} toward {direction}", f"{what} has no counterpart in TCLink"
                )
    if any(link.wire and not link.at_sender for link in topology.links):
        what = "TCLink shapes at the interfaces of hosts; testbed shapes wires in their middle"
        yield Note("", what)


def _not_said(netem: Netem) -> Iterator[str]:
    """Yield the options of a direction that TCLink lacks."""
    for name in ("reorder", "duplicate", "corrupt", "trace"):
        if getattr(netem, name) is not None:
            yield name
    if netem.delay is not None and (
        netem.delay.correlation or str(netem.delay.distribution) != "uniform"
    ):
        yield "the delay's correlation or distribution"
    if netem.loss is not None and not isinstance(netem.loss, RandomLoss):
        yield "loss gemodel"
    if isinstance(netem.loss, RandomLoss) and netem.loss.correlation:
        yield "the loss's correlation"
    rate = netem.rate
    if rate is not None and (rate.packet_overhead or rate.cell_size or rate.cell_overhead):
        yield "the rate's overhead"
