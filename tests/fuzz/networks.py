"""Random networks in the simulator: streams stay correct, and every connection ends.

A network is a value.  It follows from its seed, is written as JSON, and is made smaller by taking
links, events, boxes and options away.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Sequence
from random import Random
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.errors import SimulationError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.nat import Nat
from testbed.middlebox.options import StripOptions
from testbed.middlebox.replay import Replay
from testbed.middlebox.segmentation import Coalesce, Split
from testbed.middlebox.segments import always, on_data, on_handshake
from testbed.middlebox.sequence import RewriteSequence
from testbed.packet import mptcp
from testbed.packet.address import Flow
from testbed.packet.options import Sack, SackPermitted, Timestamps, WindowScale
from testbed.packet.segment import Segment
from testbed.sim import endpoints
from testbed.sim.host import EndpointFactory
from testbed.stack.connection import Connected, Connection, Endpoint, Event
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.config import TcpConfig
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from tests.exchange import End
from tests.fuzz import invariants
from tests.fuzz.finding import Finding
from tests.transfer import Transfer, server_address

NAT: Final = "10.200.0.99"
_S: Final = 1_000_000_000
_OPTIONS: Final = (
    mptcp.MptcpOption, mptcp.MpCapable, mptcp.Dss, mptcp.AddAddr, Timestamps, SackPermitted, Sack,
    WindowScale)  # fmt: skip
_WHERES: Final = (on_handshake, on_data, always)
_LOSSES: Final = ("", "", "", "loss 1%", "loss 4%", "loss 10%", "loss gemodel 2% 30% 60% 0%")
_MISCHIEF: Final = ("reorder 10%", "reorder 50% gap 5", "duplicate 5%", "corrupt 4%")


class Box(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A middlebox: which one, and two numbers that say how."""

    kind: str
    first: int = 0
    second: int = 0


class LinkCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way between the two hosts.

    :param via: the device in the middle: none, a ``router`` or a ``switch``.
    """

    rate_kbit: int = 20_000
    delay_ms: int = 10
    limit: int = 1000
    mtu: int = 1500
    netem: str = ""
    via: str = ""
    family: str = "both"
    boxes: tuple[Box, ...] = ()


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event on a link."""

    at_ms: int = 0
    link: int = 0
    what: str = "down"


class NetworkCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module."""

    seed: int = 1
    links: tuple[LinkCase, ...] = (LinkCase(),)
    happen: tuple[Happening, ...] = ()
    stack: str = "userspace"
    there: int = 20_000
    back: int = 5_000
    ipv6: bool = False
    checksum: bool = False
    ecn: bool = False
    sack: bool = True
    gso: bool = False
    scheduler: str = "earliest"
    congestion: str = "cubic"
    path_manager: str = "kernel_like"
    client: str = "subflow"
    server: str = "signal"
    subflows: int = 8
    accepted: int = 8
    send_buffer: int = 4 << 20
    receive_buffer: int = 4 << 20


def network_case(seed: int) -> NetworkCase:
    """Return the network of a seed."""
    rng = Random(f"network {seed}")
    hostile = rng.random()
    links = tuple(_link(rng, boxes=hostile < 0.3) for _ in range(rng.choice((1, 2, 2, 2, 3, 4))))
    happen = tuple(
        Happening(
            at_ms=rng.choice((rng.randrange(300), rng.randrange(3000), rng.randrange(60_000))),
            link=rng.randrange(len(links)),
            what=rng.choice(("down", "up", "blackhole", "light")),
        )
        for _ in range(rng.choice((0, 0, 1, 2, 4)) if rng.random() < 0.5 else 0)
    )
    small = rng.random() < 0.2
    return NetworkCase(
        seed=rng.getrandbits(31),
        links=links,
        happen=happen,
        stack=rng.choice(("userspace", "userspace", "userspace", "userspace-tcp", "mixed")),
        there=round(10 ** rng.uniform(0, 5.9)),
        back=rng.choice((0, round(10 ** rng.uniform(0, 5.5)))),
        ipv6=rng.random() < 0.3,
        checksum=rng.random() < 0.2,
        ecn=rng.random() < 0.2,
        sack=rng.random() < 0.8,
        gso=rng.random() < 0.4,
        scheduler=rng.choice(("earliest", *SCHEDULERS.own())),
        congestion=rng.choice(("cubic", "cubic", "reno")),
        path_manager=rng.choice(("kernel_like", "kernel_like", "fullmesh")),
        client=rng.choice(("subflow", "subflow", "fullmesh", "signal", "none")),
        server=rng.choice(("signal", "signal", "subflow", "none")),
        subflows=rng.choice((8, 8, 2, 1, 0)),
        accepted=rng.choice((8, 8, 2, 1, 0)),
        send_buffer=rng.choice((1_000, 20_000)) if small else 4 << 20,
        receive_buffer=rng.choice((3_000, 20_000, 100_000)) if small else 4 << 20,
    )


def _link(rng: Random, *, boxes: bool) -> LinkCase:
    netem = [rng.choice(_LOSSES)]
    if rng.random() < 0.2:
        netem.append(rng.choice(_MISCHIEF))
    several = rng.choice((0, 1, 1, 2)) if boxes else 0
    return LinkCase(
        rate_kbit=rng.choice((500, 2_000, 10_000, 20_000, 50_000)),
        delay_ms=rng.choice((1, 5, 15, 40, 150)),
        limit=rng.choice((5, 20, 100, 1000)),
        mtu=rng.choice((1500, 1500, 1500, 1400, 1280, 9000)),
        netem=" ".join(filter(None, netem)),
        via=rng.choice(("", "", "", "router", "switch")),
        family=rng.choice(("both", "both", "both", "ipv4", "ipv6")),
        boxes=tuple(_box(rng) for _ in range(several)),
    )


def _box(rng: Random) -> Box:
    return Box(
        kind=rng.choice(("strip", "strip", "sequence", "split", "coalesce", "replay", "nat")),
        first=rng.randrange(10_000),
        second=rng.randrange(10_000),
    )


def made(box: Box) -> Middlebox:
    """Return the middlebox of a value."""
    first, second = box.first, box.second
    where = _WHERES[second % len(_WHERES)]
    match box.kind:
        case "strip":
            toward = ("a", "b", None)[first // 100 % 3]
            return StripOptions(_OPTIONS[first % len(_OPTIONS)], where=where, toward=toward)
        case "sequence":
            return RewriteSequence(first)
        case "split":
            return Split(100 + first % 1300)
        case "coalesce":
            return Coalesce(1500 + first % 7500)
        case "replay":
            delay = (1 + first % 3000) * 1_000_000
            return Replay(Random(second), chance=0.1, delays_ns=(delay,), where=where)
        case _:
            return Nat(NAT, outside="b")


class Checked:
    """An endpoint that is checked after each of its rounds."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connections: list[Connection] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)

    def connect(self, flow: Flow, now: int, **more: Any) -> Connection:
        """Open a connection."""
        self._connections.append(self._endpoint.connect(flow, now, **more))
        return self._connections[-1]

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return what it sends, and check it."""
        segments = self._endpoint.segments_to_send(now)
        for connection in self._connections:
            invariants.check(connection)
        return segments

    def next_event(self) -> tuple[Connection, Event] | None:
        """Return one thing that happened."""
        found = self._endpoint.next_event()
        accepted = found is not None and isinstance(found[1], Connected)
        if found is not None and accepted and found[0] not in self._connections:
            self._connections.append(found[0])
        return found


def topology(case: NetworkCase) -> Topology:
    """Return the topology of a network."""
    nodes: dict[str, Any] = {
        name: {
            "mptcp": {
                "endpoints": flags,
                "limits": {"subflows": case.subflows, "add_addr_accepted": case.accepted},
            }
        }
        for name, flags in (("client", case.client), ("server", case.server))
    }
    links: dict[str, Any] = {}
    for number, link in enumerate(case.links):
        families = ["ipv4", "ipv6"] if link.family == "both" else [link.family]
        shape = {
            "netem": f"rate {link.rate_kbit}kbit delay {link.delay_ms}ms limit {link.limit} "
            f"{link.netem}".strip(),
            "mtu": link.mtu,
        }
        names = ["client", "server"]
        if link.via:
            nodes[f"m{number}"] = {"kind": link.via}
            names.insert(1, f"m{number}")
        for at, pair in enumerate(itertools.pairwise(names)):
            between = {
                name: {"addresses": families} if nodes[name].get("kind") != "switch" else None
                for name in pair
            }
            links[f"l{number}" + "x" * at] = {"between": between, **(shape if not at else {
                "mtu": link.mtu})}  # fmt: skip
    spec = {
        "nodes": nodes,
        "sysctls": {"net.mptcp.checksum_enabled": int(case.checksum)},
        "links": links,
    }
    return resolve(document.convert(spec, TopologySpec, document.Positions({}), "network"))


def _factory(case: NetworkCase) -> EndpointFactory:
    tcp = TcpConfig(
        nagle=False,
        keepalive=True,
        keepalive_idle_ns=60 * _S,
        ecn=case.ecn,
        sack=case.sack,
        gso=case.gso,
        congestion=case.congestion,
        send_buffer=case.send_buffer,
        receive_buffer=case.receive_buffer,
    )
    config = MptcpConfig(
        tcp=tcp,
        scheduler=case.scheduler,
        path_manager=case.path_manager,
        send_buffer=case.send_buffer,
        receive_buffer=case.receive_buffer,
    )
    several, single = endpoints.mptcp(config), endpoints.tcp(tcp)

    def make(node: Any, random: Random, local: Any) -> Endpoint:
        plain = case.stack == "userspace-tcp" or (case.stack == "mixed" and node.name == "server")
        return cast("Endpoint", Checked((single if plain else several)(node, random, local)))

    return make


def _must_succeed(case: NetworkCase) -> bool:
    """Tell whether nothing but random loss and damage is in the way."""
    return not case.happen and not any(link.boxes for link in case.links)


def play(case: NetworkCase) -> None:
    """Run a network: one connection over it, and a stream each way.

    :raises Finding: something is not as it must be.
    """
    network = topology(case)
    address = server_address(network, ipv6=case.ipv6)
    if address is None:
        return
    random = Random(case.seed)
    there, back = random.randbytes(case.there), random.randbytes(case.back)
    ends = End(there, back), End(back, there)
    transfer = Transfer(
        network,
        _factory(case),
        *ends,
        boxes=lambda _: {
            f"l{number}": list(map(made, link.boxes))
            for number, link in enumerate(case.links)
            if link.boxes
        },
        happen=[
            (one.at_ms / 1000, f"l{one.link % len(case.links)}", one.what) for one in case.happen
        ],
        seed=case.seed,
    )
    try:
        transfer.run(address)
        for end in ends if transfer.accepted else ():
            end.check()
    except (AssertionError, SimulationError, TimeoutError) as error:
        raise Finding(f"{type(error).__name__} {str(error).splitlines()[:1]}") from error
    errors = [end.error for end in ends]
    if any(error is not None and error.errno == errno.EIO for error in errors):
        raise Finding(f"fault in the stack: {errors}")
    if _must_succeed(case) and (not transfer.accepted or any(errors)):
        raise Finding(f"a sound network fails a connection: {errors}")
