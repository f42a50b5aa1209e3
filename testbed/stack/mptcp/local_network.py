"""The services of the host that MPTCP needs for addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from testbed.packet.address import Address


class LocalNetwork(Protocol):
    """The addresses and ports of the host."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the source address towards a host, or ``None`` if there is no route."""

    def port_for(self, local_host: str, remote: Address) -> int:
        """Reserve and return a free local port for a subflow.

        :raises OSError: no port is free.
        """

    def release_port(self, local: Address) -> None:
        """Release a port of :meth:`port_for`."""
