"""What rides on the connections of a test: nothing, or an extension that does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.extension import Extension, Notice
from testbed.stack.tcp.state import State


class NoExtension:
    """An extension that changes nothing."""

    def __init__(self) -> None:
        self._group = Group()

    def group(self) -> Group:
        """Be alone in it."""
        return self._group

    def socket_options(self, given: SocketOptions) -> SocketOptions:
        return given

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        return ()

    def received(self, segment: Segment, start: int) -> Notice:
        return Notice.PLAIN

    def window(self) -> int | None:
        return None

    def window_counts(self, segment: Segment) -> bool:
        return True

    def state_changed(self, old: State, new: State) -> None:
        pass

    def timed_out(self) -> None:
        pass

    def acked(self, position: int) -> None:
        pass


class NoAcceptor:
    """Has such an extension ride on each accepted connection."""

    def accept(self, syn: Segment) -> Extension | None:
        return NoExtension()

    def offer(self, syn: Segment) -> Sequence[Option] | None:
        return ()

    def resume(self, ack: Segment) -> Extension | None:
        return NoExtension()


class Riding:
    """The choice for the test that runs, and all the segments it has seen."""

    def __init__(self) -> None:
        self.extended = False
        self.transcript: list[str] = []

    def extension(self) -> Extension | None:
        """Return what rides on a connection that is opened."""
        return NoExtension() if self.extended else None

    def acceptor(self) -> NoAcceptor | None:
        """Return what decides for a listener."""
        return NoAcceptor() if self.extended else None


RIDING = Riding()
