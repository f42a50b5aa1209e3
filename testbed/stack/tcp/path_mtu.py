"""The MTUs of paths as routers report them (RFC 1191, RFC 8201)."""

from __future__ import annotations

from typing import Final

from testbed.packet.address import Flow
from testbed.stack.tcp.config import SECOND

_LEAST_MTU: Final = {4: 68, 6: 1280}  # RFC 1191, section 3; RFC 8201, section 4
# RFC 1191, section 7.1: MTUs to try if a router does not report its own.
_PLATEAUS: Final = (32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)
_VALID_NS: Final = 600 * SECOND  # RFC 1191, section 6.3; RFC 8201, section 5.3
_MOST_KNOWN: Final = 1024  # paths


def reported_mtu(mtu: int, before: int, version: int) -> int:
    """Return the MTU of a path after a report, which never increases it.

    :param mtu: the reported MTU; 0 if the router does not know it. ``before`` is the assumed one.
    :param version: of IP. A report of less than the least MTU of IPv6 is discarded.
    """
    least = _LEAST_MTU[version]
    if version == 6 and mtu < least:
        return before
    if not mtu:
        mtu = next((plateau for plateau in _PLATEAUS if plateau < before), least)
    return min(before, max(mtu, least))


class PathMtus:
    """The reported MTUs of an endpoint's paths, by both addresses.

    Connections that begin within ten minutes need no report of their own (RFC 8201, section 5.2).
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, int]] = {}  # MTU and end, the oldest first

    def learn(self, flow: Flow, mtu: int, now: int) -> None:
        """Record the MTU of a path."""
        key = flow.local.host, flow.remote.host
        self._known.pop(key, None)
        self._known[key] = mtu, now + _VALID_NS
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def known(self, flow: Flow, now: int) -> int | None:
        """Return the MTU that was reported for a path, or ``None``."""
        mtu, end = self._known.get((flow.local.host, flow.remote.host), (None, 0))
        return mtu if now < end else None
