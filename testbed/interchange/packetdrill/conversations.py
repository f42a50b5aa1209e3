"""The assignment of a script's packets to connections."""

from __future__ import annotations

from testbed.interchange.packetdrill.flows import Conversation
from testbed.interchange.packetdrill.model import Packet
from testbed.interchange.packetdrill.names import Addresses
from testbed.interchange.packetdrill.sockets import PORT
from testbed.packet.address import Address
from testbed.packet.segment import SYN, Segment

_FIRST_PORT = 50_001  # the first port of the script's side


class Conversations:
    """All connections of a script, and the last used one.

    :param local: the address of the host under test.
    """

    def __init__(self, local: str, addresses: Addresses) -> None:
        self._local = local
        self._addresses = addresses
        self._all: dict[tuple[Address, Address], Conversation] = {}
        self._current: Conversation | None = None
        self._ports = 0

    @property
    def current(self) -> Conversation | None:
        """The last used connection."""
        return self._current

    def leave(self) -> None:
        """Let the next SYN of the script start a connection, and ignore old connections."""
        self._current = None
        self._all.clear()

    def inbound(self, packet: Packet) -> Conversation:
        """Return the connection of a packet that the script sends."""
        ends = packet.ends
        source = self._host(ends.source)
        destination = self._addresses.bound(ends.destination)
        if self._begins(packet, source):
            found = self._begin(packet, source, destination)
        elif source is None and destination is None:
            found = self._current or self._begin(packet, None, None)
        else:
            found = self._find(source, destination) or self._begin(packet, source, destination)
        self._addresses.bind(ends.source, found.remote.host)
        self._addresses.bind(ends.destination, found.local.host)
        if "S" not in packet.flags and {"F", "R"} & set(packet.flags):
            found.end()
        self._current = found
        return found

    def outbound(self, segment: Segment) -> Conversation:
        """Return the connection of a segment that has left."""
        key = (segment.source, segment.destination)
        found = self._all.setdefault(key, Conversation(*key))
        self._current = found
        return found

    def concerns(self, packet: Packet, segment: Segment) -> bool:
        """Return whether an expected packet of the script can refer to a segment.

        As in packetdrill, a connection that the host has started by itself is ignored unless the
        script expects a SYN.
        """
        known = (segment.source, segment.destination) in self._all
        return known or (bool(segment.flags & SYN) and "S" in packet.flags)

    def matches(self, packet: Packet, segment: Segment) -> bool:
        """Return whether a segment has the addresses that the script expects."""
        ends = packet.ends
        return all(
            self._addresses.bound(name) in (None, address.host)
            for name, address in (
                (ends.source, segment.source),
                (ends.destination, segment.destination),
            )
            if name
        )

    def bind(self, packet: Packet, segment: Segment) -> None:
        """Bind the address names of an expected packet to the addresses of the segment."""
        self._addresses.bind(packet.ends.source, segment.source.host)
        self._addresses.bind(packet.ends.destination, segment.destination.host)

    def _host(self, name: str) -> str | None:
        """Return the source address of a packet. A new name gets a new address."""
        if not name:
            return None
        known = self._addresses.bound(name)
        if known is not None:
            return known
        host = self._addresses.further() if self._all else self._addresses.first()
        self._addresses.number(host)
        return host

    def _begins(self, packet: Packet, source: str | None) -> bool:
        """Return whether a packet is a SYN that starts a connection, not a repeated SYN."""
        if "S" not in packet.flags or "." in packet.flags:
            return False
        current = self._current
        joins = any(one.name == "mp_join_syn" for one in packet.options or ())
        return current is None or current.over or joins or source not in (None, current.remote.host)

    def _begin(self, packet: Packet, source: str | None, destination: str | None) -> Conversation:
        del packet
        self._ports += 1
        local = Address(destination or self._local, PORT)
        remote = Address(source or self._addresses.first(), _FIRST_PORT + self._ports)
        found = Conversation(local, remote)
        self._all[local, remote] = found
        return found

    def _find(self, source: str | None, destination: str | None) -> Conversation | None:
        """Return the newest connection between these addresses."""
        for one in reversed(self._all.values()):
            if source in (None, one.remote.host) and destination in (None, one.local.host):
                return one
        return None
