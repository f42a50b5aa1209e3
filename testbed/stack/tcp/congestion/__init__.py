"""Congestion control: a protocol, and a registry of names.

Adding one is adding a file that calls :func:`register`.  All amounts are octets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from testbed.errors import InputError
from testbed.stack.tcp.rtt import RttEstimator


class CongestionControl(Protocol):
    """Decides how much may be in flight; TCP decides what to send and what was lost.

    An object belongs to one connection.  It may know those of other connections, of which TCP
    knows nothing.
    """

    cwnd: int
    """What may be in flight, in octets, outside of recovery."""

    ssthresh: int
    """Below it, slow start; after a reduction, what ``cwnd`` is going to be."""

    def start(self, mss: int) -> None:
        """Begin, or go on with another ``mss``: a connection is established, its path changed."""

    def acked(self, octets: int, rtt: RttEstimator, now: int, flight: int) -> None:
        """Grow: ``octets`` were delivered while the window was the limit (RFC 3465).

        :param flight: octets from SND.UNA to SND.NXT.
        """

    def reduce(self, in_flight: int, now: int) -> None:
        """Set ``ssthresh`` and ``cwnd``: a loss was detected, or ECN-Echo came."""

    def timed_out(self, in_flight: int, now: int) -> None:
        """Set ``ssthresh``, and ``cwnd`` to one segment (RFC 5681, equation 4 and LW)."""

    def undo(self) -> None:
        """Take back the last reduction: it was for nothing."""

    def idled(self, rtos: int, now: int) -> None:
        """Note that nothing was sent for so many whole timeouts (RFC 5681, section 4.1)."""


NO_THRESHOLD: Final = 1 << 40


def initial_window(mss: int) -> int:
    """Return ten segments (RFC 6928), as Linux has it."""
    return 10 * mss


_REGISTRY: Final[dict[str, Callable[[], CongestionControl]]] = {}


def register(name: str, make: Callable[[], CongestionControl]) -> None:
    """Give a congestion control a name."""
    _REGISTRY[name] = make


def names() -> list[str]:
    """Return the names there are."""
    return sorted(_REGISTRY)


def make(name: str) -> CongestionControl:
    """Return a new object of the congestion control of this name.

    :raises InputError: there is none.
    """
    try:
        return _REGISTRY[name]()
    except KeyError:
        raise InputError(
            f"no congestion control {name!r}; there are {', '.join(names())}"
        ) from None


from testbed.stack.tcp.congestion import cubic, reno  # noqa: E402, F401 - they register themselves
