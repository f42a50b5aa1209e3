"""The cost of a data segment in the userspace TCP on each side, without and with the codec.

Run it with ``python bench/stack.py``: two endpoints in one process hand each other segments; time
does not pass on a wire.  ``--json`` prints one JSON document.  ``TESTBED_COMPILED`` says whether
the compiled modules run (docs/performance.md).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from _figures import Beside, Figure

from testbed import compiled
from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse
from testbed.packet.mptcp import MpJoinSyn
from testbed.packet.segment import SYN, Segment
from testbed.stack.connection import Connected
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.no_extension import NoExtension

FLOW: Final = Flow(Address("10.0.0.1", 40000), Address("10.0.0.2", 80))
OCTETS: Final = 64 << 20
ROUNDS: Final = 5  # rounds of the compared cases, in turns: the least time of each counts
ROUND: Final = 16 << 20  # octets
BATCH: Final = 1 << 20
CONNECTIONS: Final = 1000
JOINS: Final = 20_000
GOALS: Final = {compiled.COMPILED: 5.0, compiled.INTERPRETED: 12.0}  # us, codec included
NO_OP: Final = 1.02  # allowed cost of an extension that does nothing
REQUIRED_US: Final = 40.0  # both sides, codec excluded
REQUIRED_KIB: Final = 12.0  # memory of an idle connection at one end, of TCP and of MPTCP


class Pair:
    """Two endpoints whose segments arrive 100 microseconds after they leave."""

    def __init__(self, *, codec: bool, gso: bool, extended: bool = False) -> None:
        config = TcpConfig(gso=gso)
        self.client: Any = TcpEndpoint(config, b"c" * 16)
        self.server: Any = TcpEndpoint(config, b"s" * 16)
        self.now = 1_000_000_000
        self.codec = codec
        self.segments = 0
        self.extended = extended
        self.server.listen(FLOW.remote, NoExtension() if extended else None)

    def exchange(self) -> bool:
        """Move segments that can leave; return whether there were any."""
        moved = False
        for source, target in ((self.client, self.server), (self.server, self.client)):
            segments = source.segments_to_send(self.now)
            self.now += 100_000
            for segment in segments:
                moved = True
                self.segments += bool(segment.payload)
                target.receive(self.over_wire(segment), self.now)
            timer = target.next_timer()
            if timer is not None and timer <= self.now:
                target.handle_timer(self.now)
        return moved

    def over_wire(self, segment: Segment) -> Segment:
        """Return a segment as it arrives."""
        if not self.codec:
            return segment
        return parse(emit(segment, partial_checksum=True), verify=False, gso_size=segment.gso_size)

    def connect(self, flow: Flow) -> tuple[Any, Any]:
        """Open a connection; return both sides of it."""
        rides = {"extension": NoExtension()} if self.extended else {}
        client = self.client.connect(flow, self.now, **rides)
        server = None
        while server is None:
            self.exchange()
            while (found := self.server.next_event()) is not None:
                if isinstance(found[1], Connected):
                    server = found[0]
        return client, server


def throughput(
    *, codec: bool, gso: bool, extended: bool = False, octets: int = OCTETS
) -> dict[str, float]:
    """Return the cost of one transfer."""
    pair = Pair(codec=codec, gso=gso, extended=extended)
    client, server = pair.connect(FLOW)
    data = random.Random(3).randbytes(BATCH)
    sent = received = 0
    started = time.process_time()
    while received < octets:
        if sent < octets:
            sent += client.send(data)
        pair.exchange()
        received += len(server.read(BATCH * 8))
        while pair.server.next_event() or pair.client.next_event():
            pass
    elapsed = time.process_time() - started
    return {
        "us_per_segment": elapsed * 1e6 / pair.segments,
        "mbit_per_s": received * 8 / elapsed / 1e6,
    }


def in_turns() -> tuple[dict[str, float], dict[str, float]]:
    """Return the cost of a transfer without and with an extension that does nothing."""
    rounds = [
        [
            throughput(codec=False, gso=False, extended=extended, octets=ROUND)
            for extended in (False, True)
        ]
        for _ in range(ROUNDS)
    ]
    plain, extended = (
        min(each, key=lambda costs: costs["us_per_segment"]) for each in zip(*rounds, strict=True)
    )
    return plain, extended


class MptcpPair(Pair):
    """Two endpoints of MPTCP."""

    def __init__(self) -> None:
        """Return one address: no connection gets a second subflow."""
        super().__init__(codec=False, gso=False)
        config = MptcpConfig(tcp=TcpConfig(keepalive=True))
        self.client, self.server = (
            MptcpEndpoint(config, random.Random(name), name.encode() * 16, OneAddress())
            for name in "cs"
        )
        self.server.listen(FLOW.remote)


class OneAddress:
    """A host without other addresses than those of its connections."""

    hosts: tuple[str, ...] = ()

    def source_for(self, _remote_host: str) -> str | None:
        """Return no address."""
        return None

    def port_for(self, _local_host: str, _remote: Address) -> int:
        """Raise: no join needs a port."""
        raise OSError("no port")

    def release_port(self, local: Address) -> None:
        """Do nothing."""


def memory(pair: Pair, connections: int) -> float:
    """Return the KiB that one idle connection takes at one end."""
    pair.connect(FLOW)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(connections):
        host = f"10.0.{1 + number // 20_000}.1"
        pair.connect(Flow(Address(host, 1000 + number % 20_000), FLOW.remote))
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / connections / 2 / 1024


def as_figures(transfers: dict[str, dict[str, float]], kib: dict[str, float]) -> list[Figure]:
    """Return the figures of docs/performance.md."""
    us = {name: each["us_per_segment"] for name, each in transfers.items()}
    build = compiled.status().build
    plain = Beside("none", us["segments"])
    return [
        Figure(what="one data segment through TCP, both sides", value=us["segments"], unit="us",
               better="lower", build=build),
        Figure(what="... and codec", value=us["segments and codec"], unit="us", better="lower",
               goal=GOALS[build], build=build),
        Figure(what="... of 64 KiB, and codec", value=us["large segments and codec"], unit="us",
               better="lower", build=build),
        Figure(what="... with an extension that does nothing",
               value=us["segments, an extension that does nothing"], unit="us", better="lower",
               beside=plain, goal=NO_OP, build=build),
        *(Figure(what=f"idle connection, {name}", value=each, unit="KiB", better="lower",
                 goal=4.0, build=build) for name, each in kib.items()),
    ]  # fmt: skip


def look_ups(counts: Sequence[int]) -> dict[int, float]:
    """Return the microseconds of a join with an unknown token, RST included, among connections.

    :param counts: numbers of connections, ascending.
    """
    pair, found, opened = MptcpPair(), {}, 0
    tokens = random.Random(5)
    for count in counts:
        for number in range(opened, count):
            host = f"10.0.{1 + number // 20_000}.1"
            pair.connect(Flow(Address(host, 1000 + number % 20_000), FLOW.remote))
        opened = count
        joins = [
            Segment(
                source=Address("10.9.0.1", number),
                destination=FLOW.remote,
                seq=number,
                flags=SYN,
                options=(MpJoinSyn(address_id=1, token=tokens.getrandbits(32), nonce=number),),
            )
            for number in range(JOINS)
        ]
        started = time.process_time()
        for join in joins:
            pair.server.receive(join, pair.now)
            pair.server.segments_to_send(pair.now)
        found[count] = (time.process_time() - started) * 1e6 / JOINS
    return found


def main() -> int:
    """Print what was measured; return 1 if a requirement was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--idle", type=int, default=CONNECTIONS, metavar="COUNT",
                        help="idle connections whose memory is measured (%(default)s)")  # fmt: skip
    parser.add_argument("--memory", action="store_true", help="measure only their memory")
    parser.add_argument("--tokens", type=int, default=0, metavar="COUNT",
                        help="measure only how long joins with unknown tokens take, among a "
                        "hundredth of so many connections and among all")  # fmt: skip
    arguments = parser.parse_args()
    if arguments.tokens:
        took = look_ups((arguments.tokens // 100, arguments.tokens))
        for count, each in took.items():
            print(f"a join with an unknown token, of {count} connections: {each:.1f} us")
        return 0
    kib = {
        "tcp": memory(Pair(codec=False, gso=False), arguments.idle),
        "mptcp": memory(MptcpPair(), arguments.idle),
    }
    results = {}
    if not arguments.memory:
        plain, extended = in_turns()
        results = {
            "segments": plain,
            "segments, an extension that does nothing": extended,
            "segments and codec": throughput(codec=True, gso=False),
            "large segments and codec": throughput(codec=True, gso=True),
        }
    if arguments.json:
        told = {"transfer": results, "idle_connection_kib": kib}
        if results:
            told["figures"] = as_figures(results, kib)
        print(msgspec.json.encode(told).decode())
    else:
        for name, figures in results.items():
            print(
                f"{name}: {figures['us_per_segment']:.1f} us per data segment, both sides; "
                f"{figures['mbit_per_s']:.0f} Mbit/s"
            )
        for name, each in kib.items():
            print(f"idle connection, {name}: {each:.1f} KiB, of {arguments.idle}")
    slow = bool(results) and results["segments"]["us_per_segment"] > REQUIRED_US
    return int(slow or max(kib.values()) > REQUIRED_KIB)


if __name__ == "__main__":
    sys.exit(main())
