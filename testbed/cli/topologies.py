"""``testbed topologies``: the topologies that come with testbed."""

from __future__ import annotations

from testbed.cli.shipping import group
from testbed.shipped import TOPOLOGIES

application = group(TOPOLOGIES)
