"""``python swallowing.py NEAR FAR``: a router that drops SYNs with options of MPTCP."""

from __future__ import annotations

import sys

from forwarding import forward

from testbed.packet.mptcp import MptcpOption
from testbed.packet.options import find
from testbed.packet.segment import SYN


def process(segment, _):
    asks = segment.flags & SYN and find(segment.options, MptcpOption) is not None
    return () if asks else (segment,)


forward(*sys.argv[1:], process)
