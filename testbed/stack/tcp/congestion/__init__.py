"""Congestion control: the controls there are, by name.

Adding one is one module, and its line here; one of another distribution is registered from
outside, once.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.registry import Registry
from testbed.stack.tcp.congestion.control import Factory
from testbed.stack.tcp.congestion.cubic import Cubic
from testbed.stack.tcp.congestion.reno import Reno

CONTROLS: Final[Registry[Factory]] = Registry("congestion control", {"cubic": Cubic, "reno": Reno})
