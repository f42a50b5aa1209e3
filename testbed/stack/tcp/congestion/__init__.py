"""The congestion controls by name.

A new one needs a module and a line here. Another package adds one by an entry point.
"""

from __future__ import annotations

from typing import Final

from testbed.registry import Registry, making
from testbed.stack.tcp.congestion.balia import Balia
from testbed.stack.tcp.congestion.bbr import Bbr
from testbed.stack.tcp.congestion.control import CongestionControl, Factory
from testbed.stack.tcp.congestion.cubic import Cubic
from testbed.stack.tcp.congestion.dctcp import Dctcp
from testbed.stack.tcp.congestion.ewtcp import Ewtcp
from testbed.stack.tcp.congestion.fully_coupled import FullyCoupled
from testbed.stack.tcp.congestion.lia import Lia
from testbed.stack.tcp.congestion.olia import Olia
from testbed.stack.tcp.congestion.reno import Reno
from testbed.stack.tcp.congestion.wvegas import WVegas

CONTROLS: Final[Registry[Factory]] = Registry(
    "congestion control",
    "testbed.congestion",
    {
        "balia": Balia,
        "bbr": Bbr,
        "coupled": FullyCoupled,
        "cubic": Cubic,
        "dctcp": Dctcp,
        "ewtcp": Ewtcp,
        "lia": Lia,
        "olia": Olia,
        "reno": Reno,
        "wvegas": WVegas,
    },
    making("congestion control", CongestionControl),
)
