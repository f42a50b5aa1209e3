"""What stands between hosts and changes their segments (RFC 8684, section 6)."""

from testbed.sim.middlebox.base import Middlebox
from testbed.sim.middlebox.chain import Chain
from testbed.sim.middlebox.nat import Nat
from testbed.sim.middlebox.options import StripOptions
from testbed.sim.middlebox.payload import RewritePayload
from testbed.sim.middlebox.replay import Replay
from testbed.sim.middlebox.segmentation import Coalesce, Split
from testbed.sim.middlebox.sequence import RewriteSequence

__all__ = [
    "Chain",
    "Coalesce",
    "Middlebox",
    "Nat",
    "Replay",
    "RewritePayload",
    "RewriteSequence",
    "Split",
    "StripOptions",
]
