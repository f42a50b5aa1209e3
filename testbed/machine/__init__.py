"""Where runs happen: this host, QEMU with any kernel, user-mode Linux.

A machine runs programs of this host's file system, the same checkout and virtual environment
included, on a kernel of its own.  :func:`machine` finds one by its name.
"""

from testbed.machine.model import Availability, Machine, Program
from testbed.machine.registry import machine, machines

__all__ = ["Availability", "Machine", "Program", "machine", "machines"]
