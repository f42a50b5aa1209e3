"""BBR version 3. ``machine`` is its state machine.

``model`` is its model of the path: ``path`` has the measurements, ``bounds`` the limits from
losses. ``pipe`` detects whether the path is full, ``cycle`` schedules the probes. Sections are
those of draft-ietf-ccwg-bbr-06.
"""

from __future__ import annotations

from testbed.stack.tcp.congestion.bbr.machine import Bbr

__all__ = ["Bbr"]
