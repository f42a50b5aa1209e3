"""``python rewriting.py NEAR FAR TOWARD FIND REPLACE AFTER``: a router that edits payloads.

It does what :class:`~testbed.middlebox.payload.RewritePayload` does.  It lowers the MSS that both
ends announce, so that there is room for what it, or a peer, makes longer.

:param TOWARD: ``a``, out of NEAR, or ``b``, out of FAR.
"""

from __future__ import annotations

import sys

import msgspec
from forwarding import forward

from testbed.middlebox.payload import RewritePayload
from testbed.packet.options import MaximumSegmentSize

MSS = 1360


def lowered(option):
    """Return an option as it goes on."""
    return MaximumSegmentSize(MSS) if isinstance(option, MaximumSegmentSize) else option


def main(near, far, toward, find, replace, after):
    box = RewritePayload(find.encode(), replace.encode(), toward=toward, after=int(after))

    def process(segment, direction):
        options = tuple(map(lowered, segment.options))
        return box.process(msgspec.structs.replace(segment, options=options), direction, 0)

    forward(near, far, process)


main(*sys.argv[1:])
