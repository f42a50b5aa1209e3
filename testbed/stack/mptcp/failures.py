"""Where joins of a connection have failed (RFC 8684, section 3.9.3)."""

from __future__ import annotations

from typing import Final

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import SubflowPath

_MOST: Final = 64


class Failures:
    """The paths that are not tried again until something has changed at one of their ends.

    A path is a local address, and an address and port of the peer.
    """

    __slots__ = ("_paths",)

    def __init__(self) -> None:
        self._paths: dict[tuple[str, Address], None] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: SubflowPath) -> None:
        """Note that a join has failed there."""
        self._paths[path.local_host, path.remote] = None
        if len(self._paths) > _MOST:
            del self._paths[next(iter(self._paths))]

    def have(self, local_host: str, remote: Address) -> bool:
        """Tell whether a path has failed."""
        return (local_host, remote) in self._paths

    def forget_local(self, host: str) -> None:
        """Let paths from a local address be tried again."""
        for path in [one for one in self._paths if one[0] == host]:
            del self._paths[path]

    def forget_remote(self, remote: Address) -> bool:
        """Let paths to an address of the peer be tried again; tell whether there are any."""
        found = [one for one in self._paths if one[1] == remote]
        for path in found:
            del self._paths[path]
        return bool(found)
