"""A laboratory for reading: two hosts, a clock, and paths that take time and may lose segments."""

import random

from testbed.packet.address import Address, Flow
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.crypto import initial_dsn
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint

MS = 1_000_000  # nanoseconds
SHOWN = (
    "backup", "address_id", "address_ids", "address", "data_ack", "dsn", "length", "data_fin",
    "reason", "blocks",
)  # fmt: skip
SHORT = {
    "MaximumSegmentSize": "Mss",
    "SackPermitted": "SackOk",
    "Timestamps": "Ts",
    "WindowScale": "Wscale",
}
FLAGS = {2: "S", 1: "F", 4: "R", 8: "P", 16: "."}
SECRET = b"sixteen octets.."


class Addresses:
    """What a host knows of its own addresses."""

    def __init__(self, *hosts):
        self.hosts = hosts
        self.ports = iter(range(40000, 50000))

    def source_for(self, remote_host):
        network = remote_host.rpartition(".")[0]
        return next((host for host in self.hosts if host.startswith(network)), self.hosts[0])

    def port_for(self, local_host, remote):
        return next(self.ports)

    def release_port(self, local):
        pass


def tcp_host(**options):
    """Return a host that speaks TCP."""
    return TcpEndpoint(TcpConfig(**options), SECRET)


def mptcp_host(*hosts, subflow=True, backup=False, **options):
    """Return a host with these addresses that speaks MPTCP; the first one is not an endpoint."""
    endpoints = tuple(
        PathEndpoint(host=host, id=number, subflow=subflow, signal=not subflow, backup=backup)
        for number, host in enumerate(hosts[1:], 2)
    )
    config = MptcpConfig(endpoints=endpoints, **options)
    return MptcpEndpoint(config, random.Random(hosts[0]), SECRET, Addresses(*hosts))


class Lab:
    """Two hosts; a segment takes a millisecond, and 10 between addresses of 10.0.2.0/24.

    :param lost: whether a segment is lost.
    :param log: whether a segment is printed.
    """

    def __init__(self, client, server, lost=lambda segment: False, log=lambda segment: True):
        self.client, self.server, self.lost, self.log = client, server, lost, log
        self.now = self.sent = 0
        self.flying = []  # (arrives, number, receiver, segment)
        self.first = {}  # sequence numbers from which those of a direction are counted
        self.data = {}  # the same of the data streams, by the side that sends
        self.server.listen(Address("0.0.0.0", 80))
        self.accepted = []
        self.events = []

    def connect(self, data=b""):
        """Let the client connect, and send this."""
        flow = Flow(Address("10.0.1.1", 4000), Address("10.0.1.2", 80))
        connection = self.client.connect(flow, self.now * MS)
        connection.send(data)
        return connection

    def run(self, milliseconds):
        """Go on for so long, and print each segment when it leaves."""
        for _ in range(milliseconds):
            for arrival in sorted(it[:2] for it in self.flying if it[0] <= self.now):
                found = next(it for it in self.flying if it[:2] == arrival)
                self.flying.remove(found)
                found[2].receive(found[3], self.now * MS)
            self.step(self.client, self.server, "-->")
            self.step(self.server, self.client, "<--")
            self.now += 1

    def step(self, sender, receiver, arrow):
        """Let a host do what is due."""
        timer = sender.next_timer()
        if timer is not None and timer <= self.now * MS:
            sender.handle_timer(self.now * MS)
        busy = True
        while busy:
            busy = False
            for segment in sender.segments_to_send(self.now * MS):
                self.send(segment, receiver, arrow)
                busy = True
            while (event := sender.next_event()) is not None:
                connection, what = event
                self.events.append((self.now, arrow, type(what).__name__))
                if sender is self.server and type(what).__name__ == "Connected":
                    self.accepted.append(connection)
                busy = True

    def send(self, segment, receiver, arrow):
        """Print a segment, and put it on its way."""
        gone = self.lost(segment)
        line = f"{self.now:4} {arrow} {self.line(segment)}" + ("  LOST" if gone else "")
        if self.log(segment):
            print(line)
        if not gone:
            hosts = (segment.source.host, segment.destination.host)
            delay = 10 if any(host.startswith("10.0.2.") for host in hosts) else 1
            self.sent += 1
            self.flying.append((self.now + delay, self.sent, receiver, segment))

    def line(self, segment):
        """Return a segment as one line; sequence numbers count from the first ones."""
        way = (segment.source, segment.destination)
        start = self.first.setdefault(way, segment.seq)
        back = self.first.get(way[::-1], segment.ack)
        numbers = f"seq {(segment.seq - start) % 2**32}"
        if segment.flags & 0x10:
            numbers += f" ack {(segment.ack - back) % 2**32}"
        flags = "".join(letter for bit, letter in FLAGS.items() if segment.flags & bit)
        size = f" len {len(segment.payload)}" if segment.payload else ""
        host = segment.source.host if segment.source.port != 80 else segment.destination.host
        options = ", ".join(self.brief(it, segment) for it in segment.options)
        return f"{host} [{flags}] {numbers}{size}" + (f" | {options}" if options else "")

    def brief(self, option, segment):
        """Return an option with what is worth reading of it."""
        name = SHORT.get(type(option).__name__, type(option).__name__)
        forth = segment.destination.port == 80
        if name == "MpCapable" and option.sender_key is not None:
            self.data[forth] = initial_dsn(option.sender_key)
        said = []
        for key in SHOWN:
            value = getattr(option, key, None)
            if value in (None, False, ()):
                continue
            if key in ("dsn", "data_ack"):
                value = (value - self.data.get(forth if key == "dsn" else not forth, 0)) % 2**64
            if key == "blocks":
                start = self.first[segment.destination, segment.source]
                value = ", ".join(f"{(a - start) % 2**32}-{(b - start) % 2**32}" for a, b in value)
            said.append(f"{key} {value}")
        return f"{name}({', '.join(said)})" if said else name
