"""Congestion control: the controls there are, by name.

Adding one is one module, and its line here; another package adds one by an entry point.
"""

from __future__ import annotations

from typing import Final

from testbed.registry import Registry, making
from testbed.stack.tcp.congestion.control import CongestionControl, Factory
from testbed.stack.tcp.congestion.cubic import Cubic
from testbed.stack.tcp.congestion.reno import Reno

CONTROLS: Final[Registry[Factory]] = Registry(
    "congestion control",
    "testbed.congestion",
    {"cubic": Cubic, "reno": Reno},
    making("congestion control", CongestionControl),
)
