"""The reader and the writer of Mininet scripts. The reader runs them on stand-ins.

A script is a program, often with loops and classes of its own, so it is executed
(:mod:`~testbed.interchange.mininet.record`, in a process of its own) with modules named ``mininet``
that only record its calls (:mod:`~testbed.interchange.mininet.standins`). The record
(:mod:`~testbed.interchange.mininet.model`) becomes a topology
(:mod:`~testbed.interchange.mininet.translate`).

Source: Mininet 2.3, mininet/topo.py, net.py, node.py and link.py.
"""

from __future__ import annotations

from testbed.interchange.mininet.export import write
from testbed.interchange.mininet.reading import read

__all__ = ["read", "write"]
