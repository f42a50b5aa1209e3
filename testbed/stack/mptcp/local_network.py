"""The services of the host that MPTCP needs for addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from testbed.packet.address import Address


class LocalNetwork(Protocol):
    """The host's knowledge of its own addresses."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host's own addresses."""

    def source_for(self, remote_host: str) -> str | None:
        """Return the address this host would use towards another, ``None`` if there is none."""

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return a free local port for a subflow, and keep it from others.

        :raises OSError: none is free.
        """

    def release_port(self, local: Address) -> None:
        """Take a port of :meth:`port_for` back."""
