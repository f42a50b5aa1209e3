"""What this kernel can do, tried out for real in scratch namespaces."""

from __future__ import annotations

import functools

from pyroute2.netlink import NETLINK_GENERIC

from testbed.errors import PlatformError
from testbed.sandbox import model
from testbed.sandbox.netlink import mptcp
from testbed.sandbox.netlink.transport import Netlink


class Features:
    """Probes, each made once."""

    @functools.cached_property
    def path_manager(self) -> int | None:
        """The generic netlink number of the MPTCP path manager; None: there is none."""
        with Netlink(NETLINK_GENERIC) as netlink:
            return mptcp.family_number(netlink)

    def require_path_manager(self) -> int:
        """Return :attr:`path_manager` or raise :class:`PlatformError`."""
        if self.path_manager is None:
            raise PlatformError("no mptcp", why="x", instead="y")
        return self.path_manager

    def all(self) -> tuple[model.Feature, ...]:
        """Every feature."""
        return ()
