"""A device in memory, for the simulator and for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mypy_extensions import mypyc_attr

from testbed.driver.device import Above, Change, Packet
from testbed.packet.segment import Segment


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryDevice:
    """Passes sent segments to a function, and queues the packets of :meth:`deliver`.

    :param hosts: the addresses of the host.
    :param transmit: called with each sent segment and the time.
    :param source_for: see :class:`~testbed.driver.device.Device`; by default the first address of
        the family.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        transmit: Callable[[Segment, int], object],
        source_for: Callable[[str], str | None] | None = None,
    ) -> None:
        self._hosts = tuple(hosts)
        self._silent: tuple[str, ...] = ()
        self._transmit = transmit
        self._source_for = source_for or self._first
        self._above: Above | None = None
        self._arrived: list[Packet] = []

    @property
    def hosts(self) -> Sequence[str]:
        """Its addresses."""
        return self._hosts

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""
        return self._source_for(remote_host)

    def attach(self, above: Above) -> None:
        """Start to carry packets for a driver."""
        self._above = above

    def close(self) -> None:
        """Drop all later packets."""
        self._above = None

    def deliver(self, packet: Packet) -> None:
        """Queue a packet from the network."""
        if self._above is not None:
            self._arrived.append(packet)
            self._above.wake()

    def receive(self) -> Sequence[Packet]:
        """Return the packets delivered since the last call."""
        if not self._arrived:
            return ()
        arrived, self._arrived = self._arrived, []
        return arrived

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Pass segments on."""
        for segment in segments:
            try:
                self._transmit(segment, now)
            except Exception as error:
                if self._above is not None:
                    self._above.fault("a segment to the network", error)

    def addresses_are(self, hosts: Sequence[str], silent: Sequence[str] = ()) -> None:
        """Set the addresses.

        :param silent: those of them whose interface has no carrier.
        """
        before, were_silent = self._hosts, self._silent
        self._hosts, self._silent = tuple(hosts), tuple(silent)
        if self._above is not None:
            self._above.addresses_changed(
                Change(
                    removed=_without(before, hosts),
                    added=_without(hosts, before),
                    silent=_without(silent, were_silent),
                    heard=tuple(one for one in _without(were_silent, silent) if one in hosts),
                )
            )

    def _first(self, remote_host: str) -> str | None:
        six = ":" in remote_host
        return next((host for host in self._hosts if (":" in host) is six), None)


def _without(these: Sequence[str], those: Sequence[str]) -> tuple[str, ...]:
    return tuple(each for each in these if each not in those)
