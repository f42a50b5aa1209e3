"""QEMU as a machine: any kernel, with KVM or in software emulation, over this host's files."""

from __future__ import annotations

from testbed.machine import kernels
from testbed.machine.model import Machine
from testbed.machine.qemu.emulator import Qemu


def machine(kernel: str) -> Machine:
    """Return QEMU with a kernel: ``running``, ``6.1``, ``linux-image-...`` or a path.

    :raises InputError: that names no kernel.
    """
    kernels.check(kernel)
    return Qemu(kernel)


def machines() -> list[Machine]:
    """Return QEMU with the running kernel and with those that were fetched."""
    return [Qemu(kernel) for kernel in (kernels.RUNNING, *kernels.cached())]
