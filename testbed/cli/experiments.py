"""``testbed experiments``: the experiments that come with testbed."""

from __future__ import annotations

from testbed.cli.shipping import group
from testbed.shipped import EXPERIMENTS

application = group(EXPERIMENTS)
