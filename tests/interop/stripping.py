"""``python stripping.py NEAR FAR TOWARD``: a router that takes MPTCP's options off what is no SYN.

:param TOWARD: ``a``, out of NEAR, or ``b``, out of FAR.
"""

from __future__ import annotations

import sys

from forwarding import forward

from testbed.middlebox.options import StripOptions
from testbed.middlebox.segments import on_data
from testbed.packet.mptcp import MptcpOption


def main(near, far, toward):
    box = StripOptions(MptcpOption, where=on_data, toward=toward)
    forward(near, far, lambda segment, direction: box.process(segment, direction, 0))


main(*sys.argv[1:])
