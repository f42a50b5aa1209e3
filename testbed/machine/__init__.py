"""Machines for runs: this host, QEMU with any kernel, and user-mode Linux.

A machine runs programs of this host's file system, from the same checkout and virtual environment,
on its own kernel. :func:`machine` finds a machine by its name.
"""

from testbed.machine.model import Availability, Machine, Program
from testbed.machine.registry import machine, machines

__all__ = ["Availability", "Machine", "Program", "machine", "machines"]
