"""The loop: packets in, timers, packets out, events to the streams, the next timer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from testbed.driver.device import AddressAware, Change, Device, Packet
from testbed.packet.segment import Segment
from testbed.stack.connection import Endpoint
from testbed.streams import Streams

Action = Callable[[int], object]


class Clock(Protocol):
    """A clock in nanoseconds, with timers."""

    def now(self) -> int:
        """Return the time in nanoseconds."""

    def soon(self, action: Action) -> None:
        """Call ``action`` with the time after the caller returns."""

    def at(self, when: int, action: Action) -> None:
        """Call ``action`` with the time at ``when``, or soon if that is past.

        This may replace a call that is due later.
        """


class Driver:
    """Drives one endpoint, as :mod:`testbed.stack.connection` requires.

    :param report: called with a message and the exception after a fault with one packet.
    """

    def __init__(
        self, clock: Clock, device: Device, report: Callable[[str, Exception], object]
    ) -> None:
        self._clock = clock
        self._device = device
        self._report = report
        self._woken = False
        self._asked = False  # whether the endpoint has to be served again
        self._closed = False
        self._armed: int | None = None  # the time for which the clock is set
        self._on_idle: Callable[[], object] | None = None
        self._before_sending: Callable[[Sequence[Segment]], object] | None = None
        self.endpoint: Endpoint  # set by begin(); no property, as each packet asks for it
        self.streams = Streams(self)

    def begin(self, endpoint: Endpoint) -> None:
        """Start to drive an endpoint."""
        self.endpoint = endpoint
        self._device.attach(self)

    def close(self) -> None:
        """Stop at once, and close the device."""
        self._closed = True
        self._device.close()

    def now(self) -> int:
        """Return the time in nanoseconds."""
        return self._clock.now()

    def wake(self) -> None:
        """Schedule a round for the endpoint after the caller returns."""
        self._asked = True
        if not self._woken:
            self._woken = True
            self._clock.soon(self._turn)

    def turn(self) -> None:
        """Run a round for the endpoint now. Only for callbacks of the event loop."""
        self._turn(self._clock.now())

    def when_idle(self, action: Callable[[], object]) -> None:
        """Call ``action`` each time that no connection has anything left to do."""
        self._on_idle = action

    def before_sending(self, action: Callable[[Sequence[Segment]], object]) -> None:
        """Call ``action`` with segments before they leave."""
        self._before_sending = action

    def addresses_changed(self, change: Change) -> None:
        """Inform the endpoint, if it is interested."""
        endpoint, now = self.endpoint, self._clock.now()
        if change and isinstance(endpoint, AddressAware):
            for hosts, tell in (
                (change.removed, endpoint.address_removed),
                (change.added, endpoint.address_added),
                (change.silent, endpoint.carrier_lost),
                (change.heard, endpoint.carrier_returned),
            ):
                for host in hosts:
                    tell(host, now)
            self.wake()

    def fault(self, what: str, error: Exception) -> None:
        """Report an exception that must not affect other packets."""
        self._report(what, error)

    def _turn(self, now: int) -> None:
        if self._closed:
            return
        self._woken = True  # all later requests are carried out before this ends
        try:
            self._take(self._device.receive(), now)
            self._handle_timer(now)
            while self._settle(now):
                now = self._clock.now()
        finally:
            self._woken = False
            self._arm()

    def _settle(self, now: int) -> bool:
        """Send segments and dispatch events; return whether another pass is needed."""
        endpoint = self.endpoint
        self._asked = False
        segments = endpoint.segments_to_send(now)
        if segments:
            if self._before_sending is not None:
                self._before_sending(segments)
            self._device.send(segments, now)
        packets = self._device.receive()  # from this host itself, or an error
        stirred = bool(packets)
        if stirred:
            self._take(packets, now)
        while (happened := endpoint.next_event()) is not None:
            stirred = True
            self.streams.dispatch(*happened)
        return (stirred or self._asked) and not self._closed

    def _take(self, packets: Sequence[Packet], now: int) -> None:
        endpoint = self.endpoint
        for packet in packets:
            try:
                if isinstance(packet, Segment):
                    endpoint.receive(packet, now)
                else:
                    endpoint.receive_icmp(packet, now)
            except Exception as error:
                self._report("a packet from the network", error)

    def _handle_timer(self, now: int) -> None:
        if self._armed is None or self._armed <= now:  # nothing is due before that
            due = self.endpoint.next_timer()
            if due is not None and due <= now:
                self.endpoint.handle_timer(now)

    def _arm(self) -> None:
        """Set the clock to the endpoint's next timer. An early call does no harm."""
        if self._closed:  # by what has just happened
            return
        due = self.endpoint.next_timer()
        if due is None:
            if self._on_idle is not None:
                self._on_idle()
        elif self._armed is None or due < self._armed:
            self._armed = due
            self._clock.at(due, self._timer)

    def _timer(self, now: int) -> None:
        if self._closed:
            return
        if self._armed is not None and self._armed <= now:
            self._armed = None
        due = self.endpoint.next_timer()
        if due is not None and due <= now:
            self._turn(now)
        else:
            self._arm()
