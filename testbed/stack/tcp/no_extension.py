"""An extension that does nothing, to measure and test the hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mypy_extensions import mypyc_attr

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.extension import Extension, Notice
from testbed.stack.tcp.state import State


@mypyc_attr(allow_interpreted_subclasses=True)
class NoExtension(Extension):
    """An extension and acceptor without any effect."""

    def __init__(self) -> None:
        self._group = Group()

    def accept(self, _syn: Segment) -> NoExtension:
        """Return an extension for each connection."""
        return NoExtension()

    def offer(self, _syn: Segment) -> Sequence[Option]:
        """Add no options."""
        return ()

    def resume(self, _ack: Segment) -> NoExtension:
        """Return an extension for each connection."""
        return NoExtension()

    def group(self) -> Group:
        """Return a group of its own."""
        return self._group

    def socket_options(self, given: SocketOptions) -> SocketOptions:
        """Change nothing."""
        return given

    def options(self, _flags: int, _ext: Any, _room: int) -> Sequence[Option]:
        """Add no options."""
        return ()

    def received(self, _segment: Segment, _start: int) -> Notice:
        """Return that nothing is special."""
        return Notice.PLAIN

    def window(self) -> int | None:
        """Return ``None``: TCP determines the window."""
        return None

    def window_counts(self, _window: int) -> bool:
        """Return ``True``: each window counts."""
        return True

    def state_changed(self, _old: State, _new: State) -> None:
        """Do nothing."""

    def timed_out(self) -> None:
        """Do nothing."""

    def acked(self, _position: int) -> None:
        """Do nothing."""
