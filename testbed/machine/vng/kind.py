"""The machines ``vng:KERNEL``."""

from __future__ import annotations

from testbed.errors import InputError
from testbed.machine import kernels
from testbed.machine.model import Machine
from testbed.machine.vng.launcher import Vng


def machine(kernel: str) -> Machine:
    """Return virtme-ng with a kernel: ``running``, or the path of a bzImage or a build tree.

    :raises InputError: the name is not that of a kernel for virtme-ng.
    """
    if kernel != kernels.RUNNING and "/" not in kernel:
        raise InputError(
            f"vng: {kernel or 'nothing'!r} is not the name of a kernel",
            hint="write vng:running, or vng:PATH of a bzImage or a build tree, with a / in it",
        )
    kernels.check(kernel)
    return Vng(kernel)


def machines() -> list[Machine]:
    """Return virtme-ng with the running kernel."""
    return [Vng(kernels.RUNNING)]
