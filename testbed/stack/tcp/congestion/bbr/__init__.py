"""BBR version 3, of which ``machine`` is the state machine.

``model`` is its model of the path: ``path`` has what is measured, ``bounds`` what losses forbid.
``pipe`` tells whether the path is full, ``cycle`` when to probe.  Sections are those of
draft-ietf-ccwg-bbr-06.
"""

from __future__ import annotations

from testbed.stack.tcp.congestion.bbr.machine import Bbr

__all__ = ["Bbr"]
