"""The machines ``qemu:KERNEL``."""

from __future__ import annotations

from typing import Final

from testbed.machine import kernels, packages
from testbed.machine.model import Machine
from testbed.machine.qemu.emulator import Qemu

OFFERED: Final = ("6.1", "6.12", "7.3")  # the kernels of Debian that are known to work


def machine(kernel: str) -> Machine:
    """Return QEMU with a kernel: ``running``, ``6.1``, ``linux-image-...`` or a path.

    :raises InputError: the name is not that of a kernel.
    """
    kernels.check(kernel)
    return Qemu(kernel)


def machines() -> list[Machine]:
    """Return QEMU with the running kernel, the fetched kernels, and the offered kernels."""
    versions = sorted({*OFFERED, *kernels.cached()}, key=packages.natural)
    return [Qemu(kernel) for kernel in (kernels.RUNNING, *versions)]
