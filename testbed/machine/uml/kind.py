"""The machines ``uml:KERNEL`` and ``uml:KERNEL+virtual-time``."""

from __future__ import annotations

from typing import Final

from testbed.errors import InputError
from testbed.machine.model import VIRTUAL_TIME, Machine
from testbed.machine.uml import builds
from testbed.machine.uml.machine import Uml

OFFERED: Final = ("7.3",)  # Debian versions that are known to work


def machine(kernel: str) -> Machine:
    """Return the machine of a kernel: ``7.3``, ``PATH``, either with ``+virtual-time``.

    :raises InputError: no kernel is named.
    """
    name = kernel.removesuffix(VIRTUAL_TIME)
    if not name:
        raise InputError(
            "uml: the kernel is missing", hint="write for example uml:7.3, or uml:PATH of a tree"
        )
    return Uml(name, virtual_time=kernel != name)


def machines() -> list[Machine]:
    """Return the machines of each kernel that was built or is offered."""
    useful = [it for it in builds.built() if not it.abandoned]
    there = [it.source.removeprefix(builds.DEBIAN) for it in useful]
    return [
        Uml(name, virtual_time=virtual_time)
        for name in dict.fromkeys((*OFFERED, *there))
        for virtual_time in (False, True)
    ]
