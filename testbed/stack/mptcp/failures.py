"""The paths on which joins of a connection have failed (RFC 8684, section 3.9.3)."""

from __future__ import annotations

from typing import Final

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import SubflowPath

_MOST: Final = 64


class Failures:
    """The paths that are not tried again until an address at one end changes.

    A path is a local address together with an address and a port of the peer.
    """

    __slots__ = ("_paths",)

    def __init__(self) -> None:
        # The oldest first; None: no join has failed yet.
        self._paths: dict[tuple[str, Address], None] | None = None

    def __len__(self) -> int:
        return len(self._paths or ())

    def add(self, path: SubflowPath) -> None:
        """Record a failed join."""
        paths = self._paths = self._paths or {}
        paths[path.local_host, path.remote] = None
        if len(paths) > _MOST:
            del paths[next(iter(paths))]

    def have(self, local_host: str, remote: Address) -> bool:
        """Return whether a join has failed on a path."""
        return (local_host, remote) in (self._paths or ())

    def forget_local(self, host: str) -> None:
        """Forget the failures of paths from a local address."""
        paths = self._paths or {}
        for path in [one for one in paths if one[0] == host]:
            del paths[path]

    def forget_remote(self, remote: Address) -> bool:
        """Forget the failures of paths to an address of the peer; return whether there were any."""
        paths = self._paths or {}
        found = [one for one in paths if one[1] == remote]
        for path in found:
            del paths[path]
        return bool(found)
